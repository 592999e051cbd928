export interface ResolvedPrefixes {
  readonly ipv4Prefix: number;
  readonly ipv6Prefix: number;
}

/**
 * The client that a session is bound to, as hashes, with the address prefixes that were hashed. Part of the content.
 */
export interface BoundClient {
  readonly userAgent?: string | undefined;
  readonly address?: (ResolvedPrefixes & { readonly hash: string }) | undefined;
}

export function isBoundClient(value: object): value is BoundClient {
  const { userAgent, address }: { readonly [Key in keyof BoundClient]?: unknown } = value;
  if (userAgent !== undefined && typeof userAgent !== "string") return false;
  if (address === undefined) return true;
  if (typeof address !== "object" || address === null) return false;
  const bound: { readonly [Key in keyof NonNullable<BoundClient["address"]>]?: unknown } = address;
  const { hash, ipv4Prefix, ipv6Prefix } = bound;
  return typeof hash === "string" && isPrefix(ipv4Prefix, 32) && isPrefix(ipv6Prefix, 128);
}

export function isPrefix(value: unknown, most: number): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= most;
}
