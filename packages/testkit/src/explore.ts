import { AssertionError } from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import type { SessionStore } from "@sojourn/core";
import { decorate, type StoreCapabilities } from "@sojourn/core/adapter";
import { randomFrom } from "./random.js";
import { outcomeOf, type Pass, type Scenario, stateOf } from "./scenario.js";
import { type Judge, judgeOf, type Observation } from "./sequential.js";

/**
 * A function that a store awaits before each request to its backend. The explorer holds the request until it resolves.
 */
export type Step = () => Promise<void>;

/** An empty backend that stores can be connected to. */
export interface ExploredBackend {
  /** Connects a new node. The node does all its work on the backend between two steps at once. */
  connect(step: Step): SessionStore | Promise<SessionStore>;
  /** Lets time pass by the store's clock, at once. Required for scenarios in which time passes. */
  pass?: Pass;
}

export interface ExploreOptions {
  /**
   * The largest number of schedules to run: half of them in order, the rest drawn at random from `seed` (default 1).
   * Default: all schedules.
   */
  readonly sample?: { readonly schedules: number; readonly seed?: number } | undefined;
  /**
   * Milliseconds after which a silent operation counts as blocked, for example by a lock. Default 0: one turn of the
   * event loop, which is enough for a store with its backend in this process.
   */
  readonly blockedAfterMs?: number | undefined;
}

export interface Exploration {
  /** The number of schedules run. */
  readonly schedules: number;
  /** Whether these were all possible schedules. */
  readonly complete: boolean;
}

/**
 * Runs the operations of a scenario, each on its own node, under every order in which their requests can interleave.
 * Checks results and final state against the model: they must equal those of some serial order of the operations.
 *
 * @param start - returns a new, empty backend; called for each schedule
 * @throws AssertionError with the schedule, when no serial order gives the observed results
 */
export async function explore(
  scenario: Scenario,
  start: () => ExploredBackend | Promise<ExploredBackend>,
  { sample, blockedAfterMs = 0 }: ExploreOptions = {},
): Promise<Exploration> {
  const random = randomFrom(sample?.seed ?? 1);
  let judge: Judge | undefined;
  let schedules = 0;
  // The decisions that the next schedule repeats. After them it takes the first choice, so the last decision changes
  // next.
  let prefix: readonly number[] | undefined = [];
  while (prefix !== undefined) {
    if (sample !== undefined && schedules === sample.schedules) return { schedules, complete: false };
    const repeated: readonly number[] = prefix;
    // The first half of a sample is taken in order, so a sample that covers all schedules is complete.
    const isDrawn = sample !== undefined && schedules >= sample.schedules / 2;
    const decide = (depth: number, options: number): number =>
      isDrawn ? Math.floor(random() * options) : (repeated[depth] ?? 0);
    const { decisions, observation, capabilities } = await runSchedule(scenario, await start(), decide, blockedAfterMs);
    judge ??= await judgeOf(scenario, capabilities);
    judge(observation);
    schedules++;
    if (!isDrawn) prefix = nextPrefix(decisions);
  }
  return { schedules, complete: true };
}

/** Returns a store that awaits `step` before each call of another store: to explore code that uses stores. */
export function steppedStore(store: SessionStore, step: Step): SessionStore {
  return decorate(store, {
    create: (...args) => step().then(() => store.create(...args)),
    get: (...args) => step().then(() => store.get(...args)),
    update: (...args) => step().then(() => store.update(...args)),
    touch: (...args) => step().then(() => store.touch(...args)),
    rename: (...args) => step().then(() => store.rename(...args)),
    destroy: (...args) => step().then(() => store.destroy(...args)),
    listByUser: (...args) => step().then(() => store.listByUser(...args)),
    destroyByUser: (...args) => step().then(() => store.destroyByUser(...args)),
    sweep: (...args) => step().then(() => store.sweep(...args)),
    async *scan(...args) {
      await step();
      yield* store.scan(...args);
    },
    count: (...args) => step().then(() => store.count(...args)),
    clear: (...args) => step().then(() => store.clear(...args)),
    // A peek takes no step: the explorer could not hold it.
    peek: () => undefined,
  });
}

/** One of several choices, and their number. */
interface Decision {
  readonly taken: number;
  readonly options: number;
}

/** A running operation, on its own node. */
interface Walker {
  readonly name: string;
  readonly store: SessionStore;
  /** Releases its held requests, in the order in which it wants to send them. */
  readonly held: (() => void)[];
  called: boolean;
  done: boolean;
  startedAt: number;
  endedAt: number;
  outcome: string;
}

async function runSchedule(
  scenario: Scenario,
  { connect, pass = refusePass }: ExploredBackend,
  decide: (depth: number, options: number) => number,
  blockedAfterMs: number,
): Promise<{ decisions: Decision[]; observation: Observation; capabilities: StoreCapabilities }> {
  const opened: SessionStore[] = [];
  const open = async (step: Step): Promise<SessionStore> => {
    const store = await connect(step);
    opened.push(store);
    return store;
  };
  const observer = await open(async () => undefined);
  const { capabilities } = observer;
  await scenario.arrange?.(observer, pass);

  const walkers: Walker[] = [];
  const progress = new Progress();
  for (const { name } of scenario.operations) walkers.push(await openWalker(name, open, progress));
  const failures: unknown[] = [];
  const call = async (n: number, walker: Walker): Promise<void> => {
    const operation = scenario.operations[n];
    walker.called = true;
    try {
      if (operation !== undefined) walker.outcome = await outcomeOf(operation, walker.store, pass, capabilities);
    } catch (error) {
      failures.push(error);
    }
    walker.done = true;
    progress.notify();
  };

  const { decisions, history } = await runToEnd(walkers, call, decide, progress, blockedAfterMs);
  const path = `  schedule: ${history.join(" | ")}`;
  if (failures.length > 0) throw failures[0];
  const stuck = walkers.filter(({ done }) => !done).map(({ name }) => name);
  if (stuck.length > 0) throw new AssertionError({ message: `${stuck.join(" and ")} never answer\n${path}` });
  const observation: Observation = {
    outcomes: walkers.map(({ outcome }) => outcome),
    state: await stateOf(scenario, observer, capabilities),
    precedes: (first, second) => (walkers[first]?.endedAt ?? 0) < (walkers[second]?.startedAt ?? 0),
    history: path,
  };
  await Promise.all(opened.map((store) => store.close()));
  return { decisions, observation, capabilities };
}

/** Opens the store of one operation. Its requests are held until the schedule releases them. */
async function openWalker(
  name: string,
  open: (step: Step) => Promise<SessionStore>,
  progress: Progress,
): Promise<Walker> {
  const held: (() => void)[] = [];
  let entered = false;
  let walker: Walker | undefined;
  const store = await open(() => {
    // The call and its first request form one step: other operations can see no difference.
    const isFirst = !entered;
    entered ||= walker?.called === true;
    if (isFirst) return Promise.resolve();
    progress.notify();
    return new Promise((resolve) => held.push(resolve));
  });
  walker = { name, store, held, called: false, done: false, startedAt: -1, endedAt: -1, outcome: "" };
  return walker;
}

/** Moves one operation at a time, as decided, until none can continue. */
async function runToEnd(
  walkers: readonly Walker[],
  call: (n: number, walker: Walker) => Promise<void>,
  decide: (depth: number, options: number) => number,
  progress: Progress,
  blockedAfterMs: number,
): Promise<{ decisions: Decision[]; history: string[] }> {
  const decisions: Decision[] = [];
  const history: string[] = [];
  for (;;) {
    const ready = walkers.filter(canGoOn);
    if (ready.length === 0) break;
    const wanted = decide(decisions.length, ready.length);
    // After a pause of the machine, an operation may count as blocked although it was not when this was decided.
    const taken = blockedAfterMs > 0 ? Math.min(wanted, ready.length - 1) : wanted;
    const walker = ready[taken];
    if (walker === undefined)
      throw new Error("@sojourn/testkit: a schedule cannot be repeated: the store is not deterministic");
    const moment = decisions.push({ taken, options: ready.length });
    history.push(walker.name);
    if (walker.called) walker.held.shift()?.();
    else {
      walker.startedAt = moment;
      void call(walkers.indexOf(walker), walker);
    }
    // One turn runs everything that needs no external input.
    await turn();
    await progress.until(() => !walkers.some(isSilent), blockedAfterMs);
    // No operation can continue. A silent one is slow, or never answers.
    await progress.until(() => walkers.some(canGoOn) || !walkers.some(isSilent), stuckFactor * blockedAfterMs);
    for (const other of walkers) if (other.done && other.endedAt < 0) other.endedAt = moment;
  }
  return { decisions, history };
}

/** Whether a decision can move the operation: it is not called yet, or one of its requests is held. */
function canGoOn({ called, held }: Walker): boolean {
  return !called || held.length > 0;
}

/** Whether the operation waits for its backend, or for another operation there. */
function isSilent({ called, done, held }: Walker): boolean {
  return called && !done && held.length === 0;
}

/** An operation that is silent this many times longer than `blockedAfterMs` counts as stuck. */
const stuckFactor = 30;

/** Wakes the schedule when an operation makes progress. */
class Progress {
  #wake: () => void = () => undefined;

  notify(): void {
    this.#wake();
  }

  /** Waits until the condition holds, at most `ms` milliseconds. */
  async until(condition: () => boolean, ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (!condition()) {
      const leftMs = end - performance.now();
      if (leftMs <= 0) return;
      await this.#within(leftMs);
    }
  }

  #within(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Returns the decisions of the next schedule, depth first, or `undefined` after the last. */
function nextPrefix(decisions: readonly Decision[]): number[] | undefined {
  const last = decisions.findLastIndex(({ taken, options }) => taken + 1 < options);
  if (last < 0) return undefined;
  return decisions.slice(0, last + 1).map(({ taken }, depth) => (depth === last ? taken + 1 : taken));
}

async function refusePass(): Promise<void> {
  throw new Error("@sojourn/testkit: this scenario lets time pass, and the backend has no pass");
}
