import { assertUrlOptions, DriverStore } from "@sojourn/core/adapter";
import { BorrowedClient } from "./borrowed-client.js";
import { isClusterClient, isEncrypted } from "./client.js";
import { ClusterDriver } from "./cluster-driver.js";
import { Connection } from "./connection.js";
import type { RedisDriver } from "./driver.js";
import { duplicate } from "./duplicate.js";
import { clientFromUrl, type FromUrlOptions } from "./from-url.js";
import { keyspace } from "./keys.js";
import { type RedisStoreOptions, resolveOptions } from "./options.js";
import { OwnedClient } from "./owned-client.js";
import { SingleSlotDriver } from "./single-slot-driver.js";

/** The options of {@link RedisStore.fromUrl}. */
export type RedisUrlOptions = Pick<RedisStoreOptions, "prefix" | "timeoutMs" | "announce"> & FromUrlOptions;

/**
 * Sessions in Redis 6.2 or later, or Valkey: on one node, behind Sentinel, or on a Cluster.
 *
 * Redis' own expiry ends sessions, by the server's clock. On one node each operation is one atomic script and one round
 * trip. On a Cluster records and indexes lie on different nodes and change one after the other: `capabilities` says so.
 */
export class RedisStore extends DriverStore<RedisDriver> {
  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: RedisStoreOptions) {
    super(driverOf(options));
  }

  /**
   * Returns a store with an ioredis client of its own, which `close` closes. It connects at the first operation, and again
   * after the connection was lost.
   *
   * @param url - `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS
   * @throws SessionError `INVALID_OPTION`; also by the first operation, when the package `ioredis` is missing
   * @example
   * ```ts no-run
   * import { RedisStore } from "@sojourn/redis";
   *
   * const store = RedisStore.fromUrl(process.env.REDIS_URL ?? "redis://localhost:6379", { prefix: "shop" });
   * await store.create({ id: "a", payload: "{}", idleMs: 60_000, absoluteMs: 3_600_000 });
   * console.log((await store.get("a"))?.version);
   * await store.close();
   * ```
   */
  static fromUrl(url: string, options: RedisUrlOptions = {}): RedisStore {
    assertUrlOptions("@sojourn/redis", options, ["prefix", "timeoutMs", "announce", "driverOptions", "credentials"]);
    const { driverOptions, credentials, ...shared } = options;
    return new RedisStore({ ...shared, client: clientFromUrl(url, { driverOptions, credentials }) });
  }
}

function driverOf(options: RedisStoreOptions): RedisDriver {
  const { client, prefix, timeoutMs, singleSlot, announce, duplicate: duplicates } = resolveOptions(options);
  const isCluster = isClusterClient(client);
  const source = duplicates
    ? new OwnedClient(isCluster, isEncrypted(client), () => duplicate(client, timeoutMs))
    : new BorrowedClient(isCluster, client);
  const connection = new Connection(source, timeoutMs);
  const keys = keyspace(prefix);
  if (isCluster && !singleSlot) return new ClusterDriver(connection, keys, timeoutMs);
  return new SingleSlotDriver(connection, keys, timeoutMs, announce);
}
