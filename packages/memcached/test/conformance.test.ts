import { resolveMemcached } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { MemcachedStore } from "../src/index.js";
import { Keys } from "../src/keys.js";
import { clientOf, entriesOf, onEachRequest, Stores } from "./harness.js";

const server = await resolveMemcached();
const stores = new Stores(server.url);

afterAll(async () => {
  stores.close();
  await server.stop();
});

describeConformance(
  {
    name: "memcached 1.6",
    open: async (namespace) => stores.open(namespace),
    openStepped: async (namespace, step) => {
      const client = stores.client();
      const store = new MemcachedStore({ client, namespace });
      // What a store does once, at its first call, is no part of an operation.
      await store.get("first");
      onEachRequest(client, step);
      return store;
    },
    corrupt: async (namespace, id) => {
      const client = clientOf(server.url);
      await client.set(new Keys(namespace).session(id), "unreadable", { expires: 3_600 });
      client.close();
    },
    footprint: async (namespace) => (await entriesOf(server, namespace)).length,
    nativeExpiries: async (namespace) =>
      (await entriesOf(server, namespace)).map((seconds) => (seconds === undefined ? undefined : seconds * 1_000)),
  },
  { describe, test },
);
