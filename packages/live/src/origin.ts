/** The headers of a request that {@link isAllowedOrigin} reads: of a request of `node:http`, Express or Fastify. */
export interface OriginHeaders {
  readonly headers: { readonly origin?: string | undefined; readonly host?: string | undefined };
}

/**
 * Whether a request may open a connection. Browsers send the cookie of a session with the WebSocket of any page, and name the
 * page's origin. A request without an origin is not from a page of another site.
 */
export function isAllowedOrigin(
  { headers: { origin, host } }: OriginHeaders,
  origins: ReadonlySet<string> | undefined,
): boolean {
  if (origin === undefined) return true;
  if (origins !== undefined) return origins.has(origin);
  return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}
