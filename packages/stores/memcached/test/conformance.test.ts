import { startMemcached } from "@sojourn/test-fixtures";
import { type ConformanceHarness, conformanceCases, describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { MemcachedStore, type MemjsClient } from "../src/index.js";
import { Keys } from "../src/keys.js";
import { clientOf, entriesOf, onEachRequest, openOn, WaitCounter } from "./harness.js";

const server = await startMemcached();
afterAll(() => server.stop());

/** Patient: a busy machine is no outage, and in an outage connections are refused at once. */
const timeoutMs = 10_000;

/** One for each open store: those that are not asked count nothing. */
const counters = new Set<WaitCounter>();

const harness: ConformanceHarness = {
  name: "memcached 1.6",
  open: (namespace) => openCounted(clientOf(server.url), namespace),
  openStepped: async (namespace, step) => {
    const client = clientOf(server.url);
    const store = await openOn(client, { namespace, timeoutMs });
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
  outage: { begin: () => server.kill(), end: () => server.restart() },
  roundTrips: {
    count: async (operation) => {
      const before = totalWaits();
      await operation();
      return totalWaits() - before;
    },
    promised: {
      get: 1,
      create: 2,
      createWithLimit: 2,
      createEvicting: 5,
      update: 2,
      updateConflict: 1,
      touch: 2,
      rename: 4,
      destroy: 3,
      listByUser: 2,
      destroyByUser: 4,
    },
  },
};

// A third of the schedules begins with a session that has expired, which here takes two seconds each.
const [slow, others] = [true, false].map((isSlow) =>
  conformanceCases.filter(({ id }) => id.startsWith("model/interleaved") === isSlow),
);
describeConformance(harness, { describe, test }, { cases: others });
describeConformance({ ...harness, name: "memcached 1.6, schedules" }, { describe, test }, { cases: slow, rounds: 4 });

async function openCounted(client: MemjsClient, namespace: string): Promise<MemcachedStore> {
  const store = new MemcachedStore({ client, namespace, timeoutMs });
  const counter = new WaitCounter(client);
  counters.add(counter);
  const close = store.close.bind(store);
  store.close = async () => {
    counters.delete(counter);
    await close();
    client.close();
  };
  return store;
}

function totalWaits(): number {
  return [...counters].reduce((sum, { waits }) => sum + waits, 0);
}
