import assert from "node:assert/strict";
import type { SessionStore } from "@sojourn/core";
import type { StoreCapabilities } from "@sojourn/core/adapter";
import { type CaseContext, type ConformanceCase, hour, session } from "../case.js";
import { explore } from "../explore.js";
import type { ConformanceHarness } from "../harness.js";
import { ModelBackend, ModelStore } from "../model-store.js";
import { race } from "../race.js";
import { randomFrom } from "../random.js";
import { type Operation, operations, outcomeOf, type Pass, type Scenario, stateOf } from "../scenario.js";

/**
 * The concurrent operations on session "a". `tag` is appended to its id so that one namespace holds many runs.
 * Lifetimes differ by tens of minutes, so that the surviving deadline can be identified.
 */
function operationsOn(tag: string, { expiry }: StoreCapabilities): Operation[] {
  const [a, b, c, u, v] = [`a${tag}`, `b${tag}`, `c${tag}`, `u${tag}`, `v${tag}`];
  const evictOldest = { limit: { max: 1, whenReached: "evictOldest" } } as const;
  const reject = { limit: { max: 1, whenReached: "reject" } } as const;
  return [
    operations.create(session(a, { userId: v, payload: "another a" })),
    operations.create(session(c, { userId: u, payload: "c" }), evictOldest),
    operations.create(session(b, { userId: u, payload: "another b" }), reject),
    operations.update(a, { payload: "updated" }),
    operations.update(a, { payload: "updated from 1", idleMs: 2 * hour }, { expectedVersion: 1 }),
    operations.update(a, { userId: v }),
    operations.update(a, { userId: null, payload: "anonymous" }),
    operations.touch(a, { idleMs: 3 * hour }),
    operations.touch(a, { idleMs: 0.5 * hour, shorten: true }),
    operations.rename(a, b),
    operations.rename(a, c, { payload: "renamed", userId: v, idleMs: 4 * hour }),
    operations.destroy(a),
    operations.destroyByUser(u),
    operations.get(a),
    operations.listByUser(u),
    ...(expiry === "sweep" ? [operations.sweep()] : []),
  ];
}

/** The initial states. The sessions of `liveStates` must still be live when the operations begin. */
const initialStates: readonly {
  name: string;
  arrange(tag: string): (store: SessionStore, pass: Pass) => Promise<unknown>;
}[] = [
  {
    name: "a session of a user",
    arrange: (tag) => (store) => store.create(session(`a${tag}`, { userId: `u${tag}` })),
  },
  { name: "an anonymous session", arrange: (tag) => (store) => store.create(session(`a${tag}`)) },
  {
    name: "an expired session",
    arrange: (tag) => async (store, pass) => {
      await store.create(session(`a${tag}`, { userId: `u${tag}`, idleMs: 30 }));
      await pass(30 + 2 * store.capabilities.expiryPrecisionMs);
    },
  },
];

const liveStates = initialStates.slice(0, 2);

function scenario(tag: string, initialState: (typeof initialStates)[number], chosen: Operation[]): Scenario {
  return {
    name: `${chosen.map(({ name }) => name).join(", ")}, on ${initialState.name}`,
    arrange: initialState.arrange(tag),
    operations: chosen,
    ids: ["a", "b", "c"].map((id) => id + tag),
    users: ["u", "v"].map((userId) => userId + tag),
  };
}

/** Returns all selections of `size` of `count` items, with repetition. */
function choices(count: number, size: number, from = 0): number[][] {
  if (size === 0) return [[]];
  return Array.from({ length: count - from }, (_, n) => from + n).flatMap((first) =>
    choices(count, size - 1, first).map((rest) => [first, ...rest]),
  );
}

/** Picks `wanted` items evenly from `all`. */
function spread<T>(all: readonly T[], wanted: number): T[] {
  if (wanted >= all.length) return [...all];
  return Array.from({ length: wanted }, (_, n) => all[Math.floor((n * all.length) / wanted)]).filter(
    (pick) => pick !== undefined,
  );
}

/** Turns each scenario into a function of the tag, so that it can run again beside its earlier runs. */
type Tagged = (tag: string) => Scenario;

function scenariosOf(size: number, capabilities: StoreCapabilities, from: typeof initialStates): Tagged[] {
  const count = operationsOn("", capabilities).length;
  return from.flatMap((initialState) =>
    choices(count, size).map((choice) => (tag: string) => {
      const available = operationsOn(tag, capabilities);
      const chosen = choice.flatMap((index) => available[index] ?? []);
      return scenario(tag, initialState, chosen);
    }),
  );
}

async function raceAll({ store, open, pass }: CaseContext, scenarios: readonly Tagged[], races: number): Promise<void> {
  const stores = [store, await open(), await open()] as const;
  const chosen = spread(scenarios, races);
  for (let n = 0; n < races; n++) {
    const tagged = chosen[n % chosen.length];
    if (tagged !== undefined) await race(tagged(` ${n}`), stores, pass);
  }
}

async function exploreAll(
  { harness, freshNamespace, rounds, pass }: CaseContext,
  scenarios: readonly Tagged[],
): Promise<void> {
  const { openStepped } = harness;
  // Where the harness passes time, the backend is in this process and all schedules are cheap.
  const real = harness.pass === undefined;
  const options = real ? { sample: { schedules: Math.max(1, Math.round(rounds / 2)) }, blockedAfterMs: 1_000 } : {};
  for (const tagged of real ? spread(scenarios, rounds * 2) : scenarios) {
    await explore(
      tagged(""),
      () => {
        const namespace = freshNamespace();
        return {
          connect: (step) => {
            assert.ok(openStepped !== undefined);
            return openStepped.call(harness, namespace, step);
          },
          pass,
        };
      },
      options,
    );
  }
}

/** Returns the initial states for many runs: without expired ones where a session takes seconds to expire. */
function affordableStates({ harness, capabilities }: CaseContext): typeof initialStates {
  const isCostly = harness.pass === undefined && capabilities.expiryPrecisionMs > 10;
  return isCostly ? liveStates : initialStates;
}

function needsOpenStepped({ openStepped }: ConformanceHarness): string | undefined {
  return openStepped === undefined ? "the harness cannot hold requests" : undefined;
}

/** Promises 1, 2, 5, 6, 7, 15 and 18 at once: some serial order of the operations must give the observed results. */
export const interleavingCases: readonly ConformanceCase[] = [
  {
    id: "model/random-walk",
    title: "a long random series of operations gives the same results as on the model",
    async run({ store, pass, rounds, capabilities }) {
      const random = randomFrom(rounds);
      const model = new ModelStore(new ModelBackend(() => now), { expiry: capabilities.expiry });
      let now = 1_700_000_000_000;
      const observed = scenario("", { name: "anything", arrange: () => async () => undefined }, []);
      const path: string[] = [];
      for (let n = 0; n < rounds * 15; n++) {
        // Sessions of one millisecond have no order, and eviction depends on it.
        await pass(2);
        now += 2;
        const available = [...operationsOn("", capabilities), ...repairs];
        const operation = available[Math.floor(random() * available.length)];
        if (operation === undefined) continue;
        path.push(operation.name);
        const outcome = await outcomeOf(operation, store, pass, capabilities);
        const expected = await outcomeOf(operation, model, pass, capabilities);
        const what = `operation ${n} of the walk: ${path.slice(-8).join(", ")}`;
        assert.equal(outcome, expected, what);
        if (n % 10 !== 0) continue;
        assert.equal(await stateOf(observed, store, capabilities), await stateOf(observed, model, capabilities), what);
      }
    },
  },
  {
    id: "model/racing-pairs",
    title: "two concurrent operations give the results of some serial order on the model",
    run: (context) => raceAll(context, scenariosOf(2, context.capabilities, liveStates), context.rounds * 15),
  },
  {
    id: "model/racing-triples",
    title: "three concurrent operations give the results of some serial order on the model",
    run: (context) => raceAll(context, scenariosOf(3, context.capabilities, liveStates), context.rounds * 15),
  },
  {
    id: "model/interleaved-pairs",
    title: "two operations give the results of some serial order under every interleaving of their requests",
    needs: needsOpenStepped,
    run: (context) => exploreAll(context, scenariosOf(2, context.capabilities, affordableStates(context))),
  },
  {
    id: "model/interleaved-triples",
    title: "three operations give the results of some serial order under every interleaving of their requests",
    needs: needsOpenStepped,
    run: (context) =>
      exploreAll(context, spread(scenariosOf(3, context.capabilities, affordableStates(context)), context.rounds * 50)),
  },
];

/** Further operations of a walk, so that it always has sessions. */
const repairs: readonly Operation[] = [
  operations.create(session("a", { userId: "u", payload: "a again" })),
  operations.create(session("b", { userId: "u", payload: "b again" })),
  operations.create(session("c")),
  operations.rename("b", "a", { userId: "u", idleMs: hour }),
  operations.rename("c", "b"),
  operations.update("c", { userId: "u" }, { limit: { max: 2, whenReached: "evictOldest" } }),
  operations.get("b"),
  operations.listByUser("v"),
];
