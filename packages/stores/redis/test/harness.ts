import type { ConformanceHarness } from "@sojourn/testkit";
import type { Cluster, Redis } from "ioredis";
import { isClusterClient, type RedisClient } from "../src/client.js";
import { RedisStore } from "../src/index.js";
import { keyspace } from "../src/keys.js";
import { WaitCounter, wrapClient } from "./wrapped-client.js";

export interface HarnessOptions {
  readonly name: string;
  /** Looks at what is stored. */
  readonly client: Redis | Cluster;
  /** What the store works through. Default: `client`. */
  readonly through?: RedisClient;
  readonly singleSlot?: boolean;
  /** As the option of the store. Default true; `through` needs safe settings in either case. */
  readonly duplicate?: boolean;
  readonly outage?: ConformanceHarness["outage"];
  readonly roundTrips: NonNullable<ConformanceHarness["roundTrips"]>["promised"];
}

/** What the conformance kit needs to know of a Redis. */
export function redisHarness(options: HarnessOptions): ConformanceHarness {
  const { name, client, through = client, singleSlot = false, duplicate = true, outage, roundTrips } = options;
  const waits = new WaitCounter();
  const keysFor = (namespace: string) => keyspace(prefixFor(namespace));
  const prefixFor = (namespace: string): string => (singleSlot ? `{slot}${namespace}` : namespace);
  const openThrough = async (namespace: string, client: RedisClient, duplicate: boolean): Promise<RedisStore> =>
    // Patient: a busy machine is no outage.
    new RedisStore({ client, duplicate, prefix: prefixFor(namespace), singleSlot, timeoutMs: 10_000 });

  const keysOf = async (namespace: string): Promise<string[]> => {
    const nodes: Redis[] = isClusterClient(client) ? (client as Cluster).nodes("master") : [client as Redis];
    const found: string[] = [];
    for (const node of nodes) {
      for await (const keys of node.scanStream({ match: keysFor(namespace).pattern, count: 1_000 })) {
        found.push(...keys);
      }
    }
    return found;
  };
  /** A tombstone is no entry: it is gone a minute later. */
  const sizeOf = async (key: string): Promise<number> => {
    if ((await client.type(key)) === "zset") return client.zcard(key);
    return (await client.getrange(key, 0, 0)) === "T" ? 0 : 1;
  };

  return {
    name,
    open: (namespace) => openThrough(namespace, wrapClient(through, waits.around), duplicate),
    // Each interleaving opens stores of its own: they share one connection.
    openStepped: (namespace, step) =>
      openThrough(
        namespace,
        wrapClient(through, (command, send) => (command === "INFO" ? send() : step().then(send)), true),
        false,
      ),
    // The tag takes some of the 512 bytes.
    ...(singleSlot ? { awkwardNamespaces: ["*", "a:b", "[a-z]", "{tag}", "#s:", "#", "é".repeat(200)] } : {}),
    async corrupt(namespace, id) {
      await client.set(keysFor(namespace).sessionPrefix + id, "not a record", "KEEPTTL");
    },
    async footprint(namespace) {
      const sizes = await Promise.all((await keysOf(namespace)).map(sizeOf));
      return sizes.reduce((sum, size) => sum + size, 0);
    },
    async nativeExpiries(namespace) {
      const left = await Promise.all((await keysOf(namespace)).map((key) => client.pttl(key)));
      return left.filter((ms) => ms !== -2).map((ms) => (ms === -1 ? undefined : ms));
    },
    ...(outage === undefined ? {} : { outage }),
    roundTrips: { count: (operation) => waits.count(operation), promised: roundTrips },
  };
}

/** Each operation on one node. */
export const oneRoundTrip: HarnessOptions["roundTrips"] = {
  get: 1,
  create: 1,
  createWithLimit: 1,
  createEvicting: 1,
  update: 1,
  updateConflict: 1,
  touch: 1,
  rename: 1,
  destroy: 1,
  listByUser: 1,
  destroyByUser: 1,
};
