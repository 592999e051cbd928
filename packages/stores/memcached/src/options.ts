import {
  assertUrlOptions,
  defaultTimeoutMs,
  invalidOption,
  invalidUrl,
  isId,
  refuseUnknownOptions,
  requireOptions,
} from "@sojourn/core/adapter";
import type { MemjsClient } from "./memjs.js";

const packageName = "@sojourn/memcached";

export interface MemcachedStoreOptions {
  /**
   * A client of memjs 1.3, with `failover` off: a server that comes and goes would bring old items back. `close()` leaves it
   * open.
   */
  readonly client: MemjsClient;
  /** Stores with different namespaces never see each other. 1 to 512 bytes of any text. Default `"sojourn"`. */
  readonly namespace?: string | undefined;
  /** How long one operation may take, in milliseconds. Default 2000. memjs has a timeout of its own, 500 by default. */
  readonly timeoutMs?: number | undefined;
  /** The largest item that the servers hold, in bytes: memcached's `-I`. Default 1048576. */
  readonly maxItemBytes?: number | undefined;
  /** The most sessions of one user, whose list is one item and is read with each of them. Default 1000. */
  readonly maxSessionsPerUser?: number | undefined;
}

/** Options of memjs for the connections that `fromUrl` opens. */
export interface MemcachedDriverOptions {
  /** Whether the system probes idle connections. Default true. */
  readonly keepAlive?: boolean | undefined;
  /** Seconds of silence before the first probe. Default 30. */
  readonly keepAliveDelay?: number | undefined;
  /** Seconds that an attempt to connect may take. Default `timeoutMs`. */
  readonly conntimeout?: number | undefined;
}

export interface MemcachedUrlOptions extends Omit<MemcachedStoreOptions, "client"> {
  readonly driverOptions?: MemcachedDriverOptions | undefined;
}

export type ResolvedOptions = {
  readonly [Name in keyof MemcachedStoreOptions]-?: NonNullable<MemcachedStoreOptions[Name]>;
};

export function resolveOptions(options: MemcachedStoreOptions): ResolvedOptions {
  requireOptions(options, {
    packageName,
    usage: "new MemcachedStore({ client }) or MemcachedStore.fromUrl(url)",
    known: ["client", "namespace", "timeoutMs", "maxItemBytes", "maxSessionsPerUser"],
  });
  const {
    client,
    namespace = "sojourn",
    timeoutMs = defaultTimeoutMs,
    maxItemBytes = 1_048_576,
    maxSessionsPerUser = 1_000,
  } = options;
  if (!isMemjsClient(client))
    throw invalidOption(packageName, "client", "a Client of memjs 1.3, as Client.create makes it", client);
  if (client.options?.failover)
    throw invalidOption(packageName, "client", "a Client of memjs without failover", client);
  if (!isId(namespace)) {
    throw invalidOption(
      packageName,
      "namespace",
      "a string of 1 to 512 bytes of well-formed UTF-8 without NUL",
      namespace,
    );
  }
  // Timers take no more than 31 bits: a longer one would fire at once.
  assertInteger("timeoutMs", timeoutMs, 1, 2_147_483_647);
  assertInteger("maxItemBytes", maxItemBytes, 16_384, 1_073_741_824);
  assertInteger("maxSessionsPerUser", maxSessionsPerUser, 1, 10_000);
  return { client, namespace, timeoutMs, maxItemBytes, maxSessionsPerUser };
}

/** Checks the options of `fromUrl`. The store uses few options of memjs and refuses the others, `failover` among them. */
export function assertMemcachedUrlOptions(options: MemcachedUrlOptions): void {
  assertUrlOptions(packageName, options, [
    "namespace",
    "timeoutMs",
    "maxItemBytes",
    "maxSessionsPerUser",
    "driverOptions",
  ]);
  refuseUnknownOptions(`${packageName}: "driverOptions"`, options.driverOptions ?? {}, [
    "keepAlive",
    "keepAliveDelay",
    "conntimeout",
  ]);
}

/** The servers that a URL names, and the login for them. */
export interface ServerAddresses {
  readonly servers: readonly { readonly host: string; readonly port: number }[];
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** Reads `memcached://user:password@host:port,host2:port2`. A URL that is refused is not shown: it may hold a password. */
export function parseUrl(url: string): ServerAddresses {
  const refused = (): Error => invalidUrl(packageName, 'of the form "memcached://host:port,host2:port2"', url);
  const match = typeof url === "string" ? /^memcached:\/\/(?:([^@/]*)@)?([^@/?#]+)\/?$/.exec(url) : null;
  if (match === null) throw refused();
  const [, login, hosts = ""] = match;
  try {
    const servers = hosts.split(",").map((host) => {
      const { hostname, port } = new URL(`memcached://${host}`);
      if (hostname === "") throw refused();
      return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? 11_211 : Number(port) };
    });
    if (login === undefined) return { servers, username: undefined, password: undefined };
    const [username = "", ...password] = login.split(":");
    return { servers, username: decodeURIComponent(username), password: decodeURIComponent(password.join(":")) };
  } catch {
    throw refused();
  }
}

function isMemjsClient(client: unknown): client is MemjsClient {
  if (typeof client !== "object" || client === null) return false;
  const { seq, servers, server, incrSeq } = client as Partial<MemjsClient>;
  if (typeof seq !== "number" || typeof server !== "function" || typeof incrSeq !== "function") return false;
  return Array.isArray(servers) && servers.length > 0 && servers.every(isMemjsServer);
}

function isMemjsServer(server: unknown): boolean {
  if (typeof server !== "object" || server === null) return false;
  return ["onResponse", "onError", "sock", "write", "error", "removeAllListeners"].every(
    (method) => typeof Reflect.get(server, method) === "function",
  );
}

function assertInteger(option: string, value: unknown, least: number, most: number): void {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return;
  throw invalidOption(packageName, option, `an integer from ${least} to ${most}`, value);
}
