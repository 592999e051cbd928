import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { type BoundClient, isPrefix, type ResolvedPrefixes } from "../content/bound-client.js";
import type { SessionState } from "../content/content.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import type { Client } from "./client.js";
import type { Detection } from "./detection.js";
import { tokenToId } from "./tokens.js";

/** How much of an address has to stay the same, in bits. */
export interface AddressPrefixes {
  /** 1 to 32. Default 24. */
  readonly ipv4Prefix?: number | undefined;
  /** 1 to 128. Default 56, what a provider gives to one home or less. */
  readonly ipv6Prefix?: number | undefined;
}

/** What a session is bound to of the client that it was created or regenerated for. */
export interface BindingOptions {
  /** The whole user agent. It changes with each update of a browser. Default false. */
  readonly userAgent?: boolean | undefined;
  /** The network of the address. It changes with a phone that leaves the house. Default false; true: the default prefixes. */
  readonly address?: boolean | AddressPrefixes | undefined;
  /** `report` emits a `security` event; `reject` answers, besides, that there is no such session, and leaves it alive. */
  readonly onMismatch: "report" | "reject";
}

export interface ResolvedBinding {
  readonly userAgent: boolean;
  readonly address: ResolvedPrefixes | undefined;
  readonly onMismatch: BindingOptions["onMismatch"];
}

/** Binds sessions to clients, and tells when another one presents a session. */
export class ClientBinding {
  readonly #options: ResolvedBinding;
  readonly #detection: Detection;

  constructor(options: ResolvedBinding, detection: Detection) {
    this.#options = options;
    this.#detection = detection;
  }

  bind(client: Client): BoundClient {
    const { userAgent, address } = this.#options;
    return {
      ...(userAgent && { userAgent: hashOf(client.userAgent) }),
      ...(address && { address: { hash: hashOf(networkOf(client.ip, address)), ...address } }),
    };
  }

  /** Whether a client may have a session. One that is bound to nothing, or a client that nobody has named, passes. */
  admits({ id, userId, content }: SessionState, client: Client | undefined): boolean {
    if (client === undefined || content.boundTo === undefined || this.#matches(content.boundTo, client)) return true;
    this.#detection.report("bindingMismatch", id, { id, userId, source: client.ip });
    return this.#options.onMismatch === "report";
  }

  /** What is missing counts as empty: a client does not get past by leaving its user agent out. */
  #matches({ userAgent, address }: BoundClient, client: Client): boolean {
    if (this.#options.userAgent && userAgent !== undefined && userAgent !== hashOf(client.userAgent)) return false;
    // By the prefixes that it was bound with: other options do not log everybody out.
    if (this.#options.address === undefined || address === undefined) return true;
    return address.hash === hashOf(networkOf(client.ip, address));
  }
}

/** @throws SessionError `INVALID_OPTION` */
export function resolveBinding(binding: BindingOptions | undefined): ResolvedBinding | undefined {
  if (binding === undefined) return undefined;
  if (typeof binding !== "object" || binding === null) throw invalid("binding", "an object", binding);
  refuseUnknownOptions("@sojourn/core", binding, ["userAgent", "address", "onMismatch"]);
  const { userAgent = false, address = false, onMismatch } = binding;
  if (typeof userAgent !== "boolean") throw invalid("binding.userAgent", "a boolean", userAgent);
  if (onMismatch !== "report" && onMismatch !== "reject") {
    throw invalid("binding.onMismatch", '"report" or "reject"', onMismatch);
  }
  return { userAgent, address: resolvePrefixes(address), onMismatch };
}

function resolvePrefixes(address: boolean | AddressPrefixes): ResolvedPrefixes | undefined {
  if (address === false) return undefined;
  if (address !== true && (typeof address !== "object" || address === null)) {
    throw invalid("binding.address", "a boolean or prefixes", address);
  }
  const prefixes: AddressPrefixes = address === true ? {} : address;
  refuseUnknownOptions("@sojourn/core", prefixes, ["ipv4Prefix", "ipv6Prefix"]);
  const { ipv4Prefix = 24, ipv6Prefix = 56 } = prefixes;
  if (!isPrefix(ipv4Prefix, 32)) throw invalid("binding.address.ipv4Prefix", "an integer from 1 to 32", ipv4Prefix);
  if (!isPrefix(ipv6Prefix, 128)) throw invalid("binding.address.ipv6Prefix", "an integer from 1 to 128", ipv6Prefix);
  return { ipv4Prefix, ipv6Prefix };
}

/** The network of an address, an IPv4 address in IPv6 clothes included; nothing for what is no address. */
function networkOf(ip: string | undefined, { ipv4Prefix, ipv6Prefix }: ResolvedPrefixes): string | undefined {
  // The library takes octal numbers and single ones as well.
  if (ip === undefined || isIP(ip) === 0) return undefined;
  const address = ipaddr.process(ip);
  const network =
    address.kind() === "ipv4"
      ? ipaddr.IPv4.networkAddressFromCIDR(`${address}/${ipv4Prefix}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${withoutZone(address.toNormalizedString())}/${ipv6Prefix}`);
  return network.toString();
}

/** The zone names an interface of this machine, and is no part of the address. */
function withoutZone(address: string): string {
  return address.split("%", 1)[0] ?? address;
}

function hashOf(text = ""): string {
  return tokenToId(text);
}

function invalid(option: string, expectation: string, received: unknown): Error {
  return invalidOption("@sojourn/core", option, expectation, received);
}
