/**
 * The process of one subject of a store suite: fills a store, then drives it slice by slice as the parent asks. A process
 * for each, so that no subject runs on code that another has warmed or spoilt, or in a heap that another has filled.
 */
import { pathToFileURL } from "node:url";
import { load } from "./load.mjs";
import { serve } from "./remote.mjs";

/** Sessions beside the population that a `destroy` slice finds at least, and a `create` slice leaves at most. */
const spare = 256;
const leadInMs = 100;

// The folder `bench` of the tree under test: its modules import that tree's packages.
const [bench, backendName, name] = process.argv.slice(2);
const importFrom = (path) => import(pathToFileURL(`${bench}/${path}`).href);
const { backend } = await importFrom(`backends/${backendName}.mjs`);
const { subjectsOf } = await importFrom("lib/subjects.mjs");
const { idOf, population } = await importFrom("lib/session-data.mjs");
const subject = subjectsOf(backend)[name];
const ids = Array.from({ length: population }, (_, n) => idOf(n));
const created = [];
let next = population;
let operations;

serve({
  /** @returns the operations that this subject has */
  async open(place) {
    operations = await subject.open(place);
    for (let n = 0; n < population; n += 64) {
      await Promise.all(ids.slice(n, n + 64).map((id, offset) => operations.create(id, n + offset)));
    }
    return Object.keys(operations).filter((operation) => operation !== "close");
  },

  /**
   * Collects the heap, which throws compiled code away as well, and works until the operation is compiled again: neither is
   * anything that a subject does by itself.
   */
  async prepare({ operation, concurrency }) {
    globalThis.gc();
    // The others use up sessions.
    if (steps[operation] === undefined) {
      await load({ operation: onOwnSession(operation, concurrency), concurrency, durationMs: leadInMs });
    }
  },

  async slice({ operation, concurrency, ...limits }) {
    if (operation === "destroy") {
      while (created.length < spare) await Promise.all(Array.from({ length: 64 }, create));
    }
    const step = steps[operation] ?? onOwnSession(operation, concurrency);
    const measured = await load({ operation: step, concurrency, ...limits });
    // Who creates faster must not hold more in what comes next.
    while (created.length > spare) {
      await Promise.all(created.splice(Math.max(spare, created.length - 64)).map((id) => operations.destroy(id)));
    }
    return measured;
  },

  /** So many calls, one after the other. */
  async repeat({ operation, calls }) {
    if (operation === "destroy") while (created.length < calls) await create();
    const step = steps[operation] ?? onOwnSession(operation, 1);
    for (let n = 0; n < calls; n += 1) await step(0, n);
  },

  async close() {
    await operations?.close?.();
  },
});

const steps = {
  create,
  destroy: () => (created.length === 0 ? undefined : operations.destroy(created.pop())),
};

function onOwnSession(operation, concurrency) {
  const run = operations[operation];
  return (caller, step) => {
    const n = (caller + step * concurrency) % population;
    return run(ids[n], n);
  };
}

async function create() {
  const n = next++;
  const id = idOf(n);
  await operations.create(id, n);
  created.push(id);
}
