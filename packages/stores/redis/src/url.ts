import { SessionError } from "@sojourn/core/adapter";

/** Options of ioredis that a URL stands for. */
export interface UrlOptions {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: object;
  /** The version of IP; 0 for any. */
  readonly family?: number;
}

/**
 * Reads `redis://[user[:password]@]host[:port][/database][?family=6]`, or `rediss://` for TLS.
 *
 * @throws SessionError `INVALID_OPTION`. The message shows no part of the URL, as it may hold a password
 */
export function readUrl(text: string): UrlOptions {
  if (typeof text !== "string" || !URL.canParse(text) || !/^rediss?:\/\//.test(text)) {
    throw invalidUrl("must be one of redis: or rediss:");
  }
  const url = new URL(text);
  if (url.hostname === "") throw invalidUrl("must name a host");
  const username = decode(url.username);
  const password = decode(url.password);
  return {
    // An IPv6 address stands in brackets in a URL only.
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || 6379),
    db: databaseOf(url),
    ...(username !== "" && { username }),
    ...(password !== "" && { password }),
    ...(url.protocol === "rediss:" && { tls: {} }),
    ...parametersOf(url),
  };
}

function databaseOf({ pathname }: URL): number {
  const [, database] = /^\/?(\d{0,5})$/.exec(pathname) ?? [];
  if (database === undefined) {
    throw invalidUrl("must end in the number of a database, as in redis://host:6379/2, or have no path");
  }
  return Number(database);
}

function parametersOf({ searchParams }: URL): { readonly family?: number } {
  for (const [name, value] of searchParams) {
    if (name !== "family") throw invalidUrl(`must not have the parameter "${name}": pass it as "driverOptions"`);
    if (!/^[046]$/.test(value)) throw invalidUrl('must have 0, 4 or 6 as its "family"');
  }
  const family = searchParams.get("family");
  return family === null ? {} : { family: Number(family) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalidUrl('holds a "%" in its user or password that is not percent-encoded: write it as "%25"');
  }
}

function invalidUrl(problem: string): SessionError {
  return new SessionError("INVALID_OPTION", `@sojourn/redis: the URL ${problem}`);
}
