import type { ConformanceHarness } from "@sojourn/testkit";
import { type CommandStartedEvent, MongoClient, type MongoClientOptions } from "mongodb";
import { MongoClient as MongoClient6 } from "mongodb6";
import { MongoStore, type MongoStoreOptions } from "../src/index.js";

const clientOptions: MongoClientOptions = {
  serverSelectionTimeoutMS: 5_000,
  monitorCommands: true,
  // Commands sent together must find connections open, or they would be counted one after the other.
  minPoolSize: 10,
};

/** A client of driver 7. */
export function openClient(url: string, options: MongoClientOptions = {}): MongoClient {
  return new MongoClient(url, { ...clientOptions, ...options });
}

/** A client of driver 6, which still speaks to servers of wire version 8. */
export function openClient6(url: string, options: MongoClientOptions = {}): MongoClient {
  // The types of both drivers differ only in parts that the store does not use.
  return new MongoClient6(url, { ...clientOptions, ...options } as object) as unknown as MongoClient;
}

/** A store with its indexes made, patient enough for a busy machine. */
export async function openStore(options: MongoStoreOptions): Promise<MongoStore> {
  const store = new MongoStore({ timeoutMs: 60_000, ...options });
  await store.ensureSchema();
  return store;
}

export interface HarnessOptions {
  readonly dbName: string;
  readonly outage?: ConformanceHarness["outage"];
  readonly awkwardNamespaces: readonly string[];
}

export function harnessOn(name: string, client: MongoClient, options: HarnessOptions): ConformanceHarness {
  const { dbName, outage, awkwardNamespaces } = options;
  const db = client.db(dbName);
  const waits = countWaits(client);
  return {
    name,
    open: (collectionName) => openStore({ client, dbName, collectionName }),
    awkwardNamespaces,
    async corrupt(collectionName, id) {
      await db.collection(collectionName).updateOne({ sid: id }, { $set: { payload: 42 } });
    },
    async footprint(collectionName) {
      const collections = [collectionName, `${collectionName}_guards`];
      const counts = await Promise.all(collections.map((each) => db.collection(each).countDocuments()));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    roundTrips: {
      async count(operation) {
        const before = waits();
        await operation();
        return waits() - before;
      },
      promised: {
        get: 1,
        create: 1,
        createWithLimit: 4,
        createEvicting: 4,
        update: 1,
        updateConflict: 2,
        touch: 1,
        rename: 1,
        destroy: 1,
        listByUser: 1,
        destroyByUser: 2,
      },
    },
    ...(outage === undefined ? {} : { outage }),
  };
}

/** How often a client has begun to wait for answers so far, the clock's own questions not counted. */
export function countWaits(client: MongoClient): () => number {
  const underWay = new Set<number>();
  let waits = 0;
  client.on("commandStarted", ({ commandName, requestId }: CommandStartedEvent) => {
    if (commandName === "hello" || commandName === "isMaster") return;
    if (underWay.size === 0) waits += 1;
    underWay.add(requestId);
  });
  const end = ({ requestId }: { requestId: number }): void => void underWay.delete(requestId);
  client.on("commandSucceeded", end);
  client.on("commandFailed", end);
  return () => waits;
}
