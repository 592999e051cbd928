import { resolveMemcached } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { MemcachedStore } from "../src/index.js";
import { Keys } from "../src/keys.js";
import { clientOf, entriesOf, onEachRequest, openOn } from "./harness.js";

const server = await resolveMemcached();

afterAll(() => server.stop());

describeConformance(
  {
    name: "memcached 1.6",
    open: async (namespace) => MemcachedStore.fromUrl(server.url, { namespace }),
    openStepped: async (namespace, step) => {
      const client = clientOf(server.url);
      const store = await openOn(client, { namespace });
      onEachRequest(client, step);
      return store;
    },
    corrupt: async (namespace, id) => {
      const client = clientOf(server.url);
      await client.set(new Keys(namespace).session(id), "unreadable", { expires: 3_600 });
      client.close();
    },
    footprint: async (namespace) => (await entriesOf(server.url, namespace)).length,
    nativeExpiries: async (namespace) =>
      (await entriesOf(server.url, namespace)).map((seconds) => (seconds === undefined ? undefined : seconds * 1_000)),
  },
  { describe, test },
);
