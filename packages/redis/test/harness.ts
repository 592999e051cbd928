import type { ConformanceHarness } from "@sojourn/testkit";
import type { Cluster, Redis } from "ioredis";
import { type RedisClient, RedisStore, type RedisStoreOptions } from "../src/index.js";
import { keyspace } from "../src/keys.js";

/** The kit's view of a namespace on one node or on a Cluster. */
export function harness(name: string, client: Redis | Cluster, options: Omit<RedisStoreOptions, "client"> = {}) {
  const prefixOf = (namespace: string): string => (options.singleSlot ? `{${namespace}}` : namespace);
  const open = async (namespace: string, through: RedisClient = client): Promise<RedisStore> =>
    new RedisStore({ ...options, client: through, prefix: prefixOf(namespace) });
  const keysOf = async (namespace: string): Promise<string[]> => {
    const nodes = client.isCluster ? (client as Cluster).nodes("master") : [client as Redis];
    const found: string[] = [];
    for (const node of nodes) {
      for await (const keys of node.scanStream({ match: keyspace(prefixOf(namespace)).pattern, count: 1_000 })) {
        found.push(...keys);
      }
    }
    return found;
  };
  return {
    name,
    open: (namespace) => open(namespace),
    async corrupt(namespace, id) {
      await client.set(keyspace(prefixOf(namespace)).sessionPrefix + id, "not a record", "KEEPTTL");
    },
    async footprint(namespace) {
      const keys = await keysOf(namespace);
      const sizes = await Promise.all(
        keys.map(async (key) => ((await client.type(key)) === "zset" ? client.zcard(key) : 1)),
      );
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    async nativeExpiries(namespace) {
      const left = await Promise.all((await keysOf(namespace)).map((key) => client.pttl(key)));
      return left.filter((ms) => ms !== -2).map((ms) => (ms === -1 ? undefined : ms));
    },
  } satisfies ConformanceHarness;
}
