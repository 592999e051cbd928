import type { SessionStore } from "@sojourn/core";
import { MemcachedStore } from "@sojourn/memcached";
import { MongoStore } from "@sojourn/mongodb";
import { MySQLStore } from "@sojourn/mysql";
import { PostgresStore } from "@sojourn/postgres";
import { RedisStore } from "@sojourn/redis";
import { Cluster, Redis } from "ioredis";
// Driver 6 also speaks to mongo-java-server.
import { openClient6 } from "../../packages/stores/mongodb/test/harness.js";

/** Where a store is, as plain data for another process. */
export type StorePlace =
  | { readonly kind: "redis" | "memcached" | "mongodb" | "mysql" | "postgres"; readonly url: string }
  | {
      readonly kind: "sentinel";
      readonly masterName: string;
      readonly sentinels: readonly Address[];
      readonly natMap: NatMap;
    }
  | { readonly kind: "cluster"; readonly nodes: readonly Address[]; readonly natMap: NatMap };

interface Address {
  readonly host: string;
  readonly port: number;
}

/** The proxy in front of each server, by the address that the servers themselves tell. */
export type NatMap = Readonly<Record<string, Address>>;

const namespace = "history";
const timeoutMs = 1_000;

/** As an application opens it. */
export async function openStore(place: StorePlace): Promise<SessionStore> {
  switch (place.kind) {
    case "redis":
      return RedisStore.fromUrl(place.url, { prefix: namespace, timeoutMs });
    case "sentinel": {
      const { masterName, sentinels, natMap } = place;
      const client = new Redis({
        name: masterName,
        sentinels: [...sentinels],
        natMap,
        autoResendUnfulfilledCommands: false,
      });
      client.on("error", () => {});
      return new RedisStore({ client, prefix: namespace, timeoutMs });
    }
    case "cluster": {
      const { nodes, natMap } = place;
      const redisOptions = { autoResendUnfulfilledCommands: false };
      const client = new Cluster([...nodes], { natMap, redisOptions });
      client.on("error", () => {});
      return new RedisStore({ client, prefix: namespace, timeoutMs });
    }
    case "memcached":
      return MemcachedStore.fromUrl(place.url, { namespace, timeoutMs });
    case "mongodb": {
      const store = new MongoStore({
        client: openClient6(place.url),
        dbName: namespace,
        collectionName: namespace,
        timeoutMs,
      });
      await store.ensureSchema();
      return store;
    }
    case "mysql": {
      const store = MySQLStore.fromUrl(place.url, { table: namespace, timeoutMs });
      await store.ensureSchema();
      return store;
    }
    case "postgres": {
      const store = PostgresStore.fromUrl(place.url, { table: namespace, timeoutMs });
      await store.ensureSchema();
      return store;
    }
  }
}
