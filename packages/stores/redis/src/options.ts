import { defaultTimeoutMs, invalidOption, isId, refuseUnknownOptions } from "@sojourn/core/adapter";
import { isClusterClient, type RedisClient } from "./client.js";
import { isNodeRedisClient } from "./node-redis.js";

export interface RedisStoreOptions {
  /**
   * A `Redis` or `Cluster` client of ioredis 5 or 6, or of iovalkey, not reading from replicas; or a client of node-redis 5 or
   * 6 by `createClient`, which you have told to `connect`. Without a `keyPrefix` in either case. It stays yours: `close` leaves it open.
   */
  readonly client: RedisClient;
  /**
   * The namespace: 1 to 512 bytes of any text. Stores of different prefixes never see each other's sessions.
   * Default `"sojourn"`.
   */
  readonly prefix?: string | undefined;
  /** Milliseconds that one round trip may take before it is `TIMEOUT`. Default 2,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * On a Cluster: keep the namespace in one slot, on one node, where each operation is atomic and one round trip. The
   * prefix must then hold a hash tag, such as `"{app}"`. Default false: sessions spread over all nodes.
   */
  readonly singleSlot?: boolean | undefined;
}

export interface ResolvedOptions {
  readonly client: RedisClient;
  readonly prefix: string;
  readonly timeoutMs: number;
  readonly singleSlot: boolean;
}

const packageName = "@sojourn/redis";

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: RedisStoreOptions): ResolvedOptions {
  refuseUnknownOptions(packageName, options, ["client", "prefix", "timeoutMs", "singleSlot"]);
  const { client, prefix = "sojourn", timeoutMs = defaultTimeoutMs, singleSlot = false } = options;
  if (!isClient(client)) {
    const expectation = "a Redis or Cluster client of ioredis, or one that node-redis 5 or 6 made by createClient";
    throw invalidOption(packageName, "client", expectation, client);
  }
  const settings = clientSettings(client);
  if (settings.keyPrefix) {
    // ioredis would prefix the keys of a script, but not those that it derives from what it reads; node-redis prefixes none.
    throw invalidOption(packageName, "client", 'without a keyPrefix (use the option "prefix")', settings.keyPrefix);
  }
  if (isClusterClient(client) && settings.scaleReads !== undefined && settings.scaleReads !== "master") {
    throw invalidOption(packageName, "client", 'with scaleReads "master": replicas lag behind', settings.scaleReads);
  }
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
  return { client, prefix, timeoutMs, singleSlot };
}

function isClient(client: unknown): client is RedisClient {
  if (typeof client !== "object" || client === null) return false;
  return ("callBuffer" in client && typeof client.callBuffer === "function") || isNodeRedisClient(client);
}

interface ClientSettings {
  readonly keyPrefix?: unknown;
  readonly scaleReads?: unknown;
}

function clientSettings({ options }: RedisClient): ClientSettings {
  const settings: ClientSettings & { redisOptions?: ClientSettings } = options ?? {};
  return { keyPrefix: settings.keyPrefix || settings.redisOptions?.keyPrefix, scaleReads: settings.scaleReads };
}
