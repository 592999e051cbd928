import { defaultTimeoutMs, invalidOption, isId, requireOptions } from "@sojourn/core/adapter";
import { isClusterClient, isIoredisClient, type RedisClient } from "./client.js";
import { isNodeRedisClient } from "./node-redis.js";

export interface RedisStoreOptions {
  /**
   * A `Redis` or `Cluster` client of ioredis 5 or 6 or of iovalkey, or a client of node-redis 5 or 6 by `createClient`, without
   * a `keyPrefix`, and reading from masters. It stays yours. The store duplicates it with settings under which no command is
   * sent twice, and closes the duplicate.
   */
  readonly client: RedisClient;
  /**
   * False: use the client itself, which then needs these settings and its own means against a silent connection. A client of
   * node-redis needs `disableOfflineQueue: true`, `Redis` of ioredis `autoResendUnfulfilledCommands: false`, `Cluster`
   * `retryDelayOnFailover: 0`. Default true.
   */
  readonly duplicate?: boolean | undefined;
  /**
   * The namespace: 1 to 512 bytes of any text. Stores of different prefixes never see each other's sessions.
   * Default `"sojourn"`.
   */
  readonly prefix?: string | undefined;
  /**
   * Milliseconds that one operation may take; one step of `scan` and of `clear` counts as one. A connection that answers
   * nothing for so long is given up. Default 2,000.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * On a Cluster: keep the namespace in one slot, on one node, where each operation is atomic and one round trip. The
   * prefix must then hold a hash tag, such as `"{app}"`. Default false: sessions spread over all nodes.
   */
  readonly singleSlot?: boolean | undefined;
  /**
   * Tells a {@link RedisBus} of this prefix of each end and change, in the script that writes it. Not for sessions that spread
   * over a Cluster. Default false.
   */
  readonly announce?: boolean | undefined;
}

export interface ResolvedOptions {
  readonly client: RedisClient;
  readonly duplicate: boolean;
  readonly prefix: string;
  readonly timeoutMs: number;
  readonly singleSlot: boolean;
  readonly announce: boolean;
}

const packageName = "@sojourn/redis";

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: RedisStoreOptions): ResolvedOptions {
  requireOptions(options, {
    packageName,
    usage: "new RedisStore({ client }) or RedisStore.fromUrl(url)",
    known: ["client", "duplicate", "prefix", "timeoutMs", "singleSlot", "announce"],
  });
  const { client, duplicate = true, prefix = "sojourn", timeoutMs = defaultTimeoutMs, singleSlot = false } = options;
  const { announce = false } = options;
  if (typeof duplicate !== "boolean") throw invalidOption(packageName, "duplicate", "a boolean", duplicate);
  checkClient(client, duplicate);
  if (!isId(prefix)) {
    throw invalidOption(packageName, "prefix", "a string of 1 to 512 bytes of well-formed UTF-8 without NUL", prefix);
  }
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2_147_483_647) {
    throw invalidOption(packageName, "timeoutMs", "an integer from 1 to 2147483647", timeoutMs);
  }
  if (typeof singleSlot !== "boolean") throw invalidOption(packageName, "singleSlot", "a boolean", singleSlot);
  if (singleSlot && !/^[^{]*\{[^}]+\}/.test(prefix)) {
    throw invalidOption(packageName, "prefix", 'one with a hash tag, such as "{app}", with singleSlot', prefix);
  }
  if (typeof announce !== "boolean") throw invalidOption(packageName, "announce", "a boolean", announce);
  if (announce && isClusterClient(client) && !singleSlot) {
    throw invalidOption(packageName, "announce", "false on a Cluster without singleSlot: use announceWrites", announce);
  }
  return { client, duplicate, prefix, timeoutMs, singleSlot, announce };
}

export function checkClient(client: RedisClient, duplicate: boolean): void {
  if (!isClient(client)) {
    const expectation =
      "a Redis or Cluster client of ioredis, or one that node-redis 5 or 6 made by createClient; RedisStore.fromUrl takes a URL";
    throw invalidOption(packageName, "client", expectation, client);
  }
  const settings = settingsOf(client);
  if (settings.keyPrefix) {
    // ioredis would prefix the keys of a script, but not the keys that a script derives from stored values; node-redis prefixes none.
    throw invalidOption(packageName, "client", 'without a keyPrefix (use the option "prefix")', settings.keyPrefix);
  }
  if (isClusterClient(client) && settings.scaleReads !== undefined && settings.scaleReads !== "master") {
    throw invalidOption(packageName, "client", 'with scaleReads "master": replicas lag behind', settings.scaleReads);
  }
  if (settings.role !== undefined && settings.role !== "master") {
    throw invalidOption(packageName, "client", 'with role "master": replicas lag behind', settings.role);
  }
  if (!duplicate) refuseUnsafe(client, settings);
  else if (typeof client.duplicate !== "function") {
    const expectation = 'one with a method "duplicate", or used as it is with the option "duplicate: false"';
    throw invalidOption(packageName, "client", expectation, client);
  }
}

/** Refuses, by name, a setting under which the client sends a command twice, or after its caller was told that it failed. */
function refuseUnsafe(client: RedisClient, settings: ClientSettings): void {
  const [setting, safe] = isClusterClient(client)
    ? (["retryDelayOnFailover", 0] as const)
    : isIoredisClient(client)
      ? (["autoResendUnfulfilledCommands", false] as const)
      : (["disableOfflineQueue", true] as const);
  if (settings[setting] === safe) return;
  const expectation = `one with ${setting}: ${safe}, when "duplicate" is false: otherwise it may send a command twice or late`;
  throw invalidOption(packageName, "client", expectation, settings[setting]);
}

function isClient(client: unknown): client is RedisClient {
  if (typeof client !== "object" || client === null) return false;
  return ("callBuffer" in client && typeof client.callBuffer === "function") || isNodeRedisClient(client);
}

interface ClientSettings {
  readonly keyPrefix?: unknown;
  readonly scaleReads?: unknown;
  readonly role?: unknown;
  readonly retryDelayOnFailover?: unknown;
  readonly autoResendUnfulfilledCommands?: unknown;
  readonly disableOfflineQueue?: unknown;
}

function settingsOf({ options }: RedisClient): ClientSettings {
  const settings: ClientSettings & { redisOptions?: ClientSettings } = options ?? {};
  return { ...settings, keyPrefix: settings.keyPrefix || settings.redisOptions?.keyPrefix };
}
