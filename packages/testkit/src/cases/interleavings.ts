import assert from "node:assert/strict";
import type { SessionStore, StoreCapabilities } from "@sojourn/core";
import { type CaseContext, type ConformanceCase, hour, session } from "../case.js";
import { explore } from "../explore.js";
import type { ConformanceHarness } from "../harness.js";
import { ModelBackend, ModelStore } from "../model-store.js";
import { race } from "../race.js";
import { randomFrom } from "../random.js";
import { type Operation, operations, outcomeOf, type Pass, type Scenario, stateOf } from "../scenario.js";

/**
 * What may happen at the same time to session "a", on which `tag` is appended so that one namespace holds many runs.
 * Lifetimes are some tens of minutes apart, so that it can be told whose deadline stayed.
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

/** The states from which they start. `live` ones have to be so when the operations begin. */
const beginnings: readonly {
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

const alive = beginnings.slice(0, 2);

function scenario(tag: string, beginning: (typeof beginnings)[number], chosen: Operation[]): Scenario {
  return {
    name: `${chosen.map(({ name }) => name).join(", ")}, on ${beginning.name}`,
    arrange: beginning.arrange(tag),
    operations: chosen,
    ids: ["a", "b", "c"].map((id) => id + tag),
    users: ["u", "v"].map((userId) => userId + tag),
  };
}

/** Each choice of `size` of `count` things, one of them more than once included. */
function choices(count: number, size: number, from = 0): number[][] {
  if (size === 0) return [[]];
  return Array.from({ length: count - from }, (_, n) => from + n).flatMap((first) =>
    choices(count, size - 1, first).map((rest) => [first, ...rest]),
  );
}

/** Spreads `wanted` picks evenly over `all`. */
function spread<T>(all: readonly T[], wanted: number): T[] {
  if (wanted >= all.length) return [...all];
  return Array.from({ length: wanted }, (_, n) => all[Math.floor((n * all.length) / wanted)]).filter(
    (pick) => pick !== undefined,
  );
}

/** Each of `scenarios` as a function of the tag, so that it can run anew beside its former runs. */
type Tagged = (tag: string) => Scenario;

function scenariosOf(size: number, capabilities: StoreCapabilities, from: typeof beginnings): Tagged[] {
  const count = operationsOn("", capabilities).length;
  return from.flatMap((beginning) =>
    choices(count, size).map((choice) => (tag: string) => {
      const available = operationsOn(tag, capabilities);
      const chosen = choice.flatMap((index) => available[index] ?? []);
      return scenario(tag, beginning, chosen);
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
  // Where time passes only when told the backend is in this process, and all schedules cost little.
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

/** Where a session takes seconds to expire for certain, it cannot do so in every schedule. */
function affordable({ harness, capabilities }: CaseContext): typeof beginnings {
  const isCostly = harness.pass === undefined && capabilities.expiryPrecisionMs > 10;
  return isCostly ? alive : beginnings;
}

function needsOpenStepped({ openStepped }: ConformanceHarness): string | undefined {
  return openStepped === undefined ? "the harness cannot hold requests" : undefined;
}

/** Promises 1, 2, 5, 6, 7, 15 and 18 at once: whatever happens, some order of the operations explains it. */
export const interleavingCases: readonly ConformanceCase[] = [
  {
    id: "model/random-walk",
    title: "a long random series of operations comes out as it does on the model",
    async run({ store, pass, rounds, capabilities }) {
      const random = randomFrom(rounds);
      const model = new ModelStore(new ModelBackend(() => now), { expiry: capabilities.expiry });
      let now = 1_700_000_000_000;
      const observed = scenario("", { name: "anything", arrange: () => async () => undefined }, []);
      const path: string[] = [];
      for (let n = 0; n < rounds * 15; n++) {
        // Sessions of one millisecond have no order, and eviction goes by it.
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
    title: "two operations at the same time come out as one after the other would on the model",
    run: (context) => raceAll(context, scenariosOf(2, context.capabilities, alive), context.rounds * 15),
  },
  {
    id: "model/racing-triples",
    title: "three operations at the same time come out as one after the other would on the model",
    run: (context) => raceAll(context, scenariosOf(3, context.capabilities, alive), context.rounds * 15),
  },
  {
    id: "model/interleaved-pairs",
    title: "two operations come out as on the model under every order in which their requests can interleave",
    needs: needsOpenStepped,
    run: (context) => exploreAll(context, scenariosOf(2, context.capabilities, affordable(context))),
  },
  {
    id: "model/interleaved-triples",
    title: "three operations come out as on the model under every order in which their requests can interleave",
    needs: needsOpenStepped,
    run: (context) =>
      exploreAll(context, spread(scenariosOf(3, context.capabilities, affordable(context)), context.rounds * 50)),
  },
];

/** What a walk needs beside them so that it does not run dry. */
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
