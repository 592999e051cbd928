import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { type BoundClient, isPrefix, type ResolvedPrefixes } from "../content/bound-client.js";
import type { SessionState } from "../content/content.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import type { Client } from "./client.js";
import type { Detection } from "./detection.js";
import { tokenToId } from "./tokens.js";

/** The number of leading bits of an address that must stay the same. */
interface AddressPrefixes {
  /** 1 to 32. Default 24. */
  readonly ipv4Prefix?: number | undefined;
  /** 1 to 128. Default 56: providers give one home such a network or a smaller one. */
  readonly ipv6Prefix?: number | undefined;
}

/** The properties of a client that its sessions are bound to, at their creation and regeneration. */
export interface BindingOptions {
  /** Binds to the whole user agent, which changes with each update of a browser. Default false. */
  readonly userAgent?: boolean | undefined;
  /**
   * Binds to the network of the address, which changes when a phone changes networks. Default false; true: the default
   * prefixes.
   */
  readonly address?: boolean | AddressPrefixes | undefined;
  /**
   * `report` emits a `security` event and returns the session. `reject` emits it and answers that there is no such
   * session; the session stays alive.
   */
  readonly onMismatch: "report" | "reject";
}

export interface ResolvedBinding {
  readonly userAgent: boolean;
  readonly address: ResolvedPrefixes | undefined;
  readonly onMismatch: BindingOptions["onMismatch"];
}

/** Binds sessions to clients, and detects a session that another client presents. */
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

  /**
   * Whether a client may have a session. Always true for a session that is bound to no client, and for a call without
   * `client`.
   */
  admits({ id, userId, content }: SessionState, client: Client | undefined): boolean {
    if (client === undefined || content.boundTo === undefined || this.#matches(content.boundTo, client)) return true;
    this.#detection.report("bindingMismatch", id, { id, userId, source: client.ip });
    return this.#options.onMismatch === "report";
  }

  /** A missing property counts as empty: a client cannot pass by leaving its user agent out. */
  #matches({ userAgent, address }: BoundClient, client: Client): boolean {
    if (this.#options.userAgent && userAgent !== undefined && userAgent !== hashOf(client.userAgent)) return false;
    // Uses the prefixes of the time of binding: a change of the options logs no user out.
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

/**
 * Returns the network of an address, also of an IPv4 address mapped into IPv6; `undefined` for a text that is no
 * address.
 */
function networkOf(ip: string | undefined, { ipv4Prefix, ipv6Prefix }: ResolvedPrefixes): string | undefined {
  // The library also accepts octal numbers and single numbers.
  if (ip === undefined || isIP(ip) === 0) return undefined;
  const address = ipaddr.process(ip);
  const network =
    address.kind() === "ipv4"
      ? ipaddr.IPv4.networkAddressFromCIDR(`${address}/${ipv4Prefix}`)
      : ipaddr.IPv6.networkAddressFromCIDR(`${withoutZone(address.toNormalizedString())}/${ipv6Prefix}`);
  return network.toString();
}

/** Removes the zone, which names a network interface of this machine. */
function withoutZone(address: string): string {
  return address.split("%", 1)[0] ?? address;
}

function hashOf(text = ""): string {
  return tokenToId(text);
}

function invalid(option: string, expectation: string, received: unknown): Error {
  return invalidOption("@sojourn/core", option, expectation, received);
}
