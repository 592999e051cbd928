import { AssertionError } from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import type { SessionStore, StoreCapabilities } from "@sojourn/core";
import { decorate } from "@sojourn/core/adapter";
import { randomFrom } from "./random.js";
import { outcomeOf, type Pass, type Scenario, stateOf } from "./scenario.js";
import { type Judge, judgeOf, type Observation } from "./sequential.js";

/** Awaited by a store before each request to its backend: whoever holds it holds the request. */
export type Step = () => Promise<void>;

/** A backend, empty, that stores can be connected to. */
export interface ExploredBackend {
  /** A node of its own. It does all its work on the backend between two steps in one go. */
  connect(step: Step): SessionStore | Promise<SessionStore>;
  /** Lets time pass by the store's clock, at once. Needed by scenarios in which time passes. */
  pass?: Pass;
}

export interface ExploreOptions {
  /**
   * Explore at most so many schedules: half of them in order, the rest drawn at random from `seed` (default 1).
   * Default: all that there are.
   */
  readonly sample?: { readonly schedules: number; readonly seed?: number } | undefined;
  /**
   * Milliseconds after which an operation that neither takes a step nor answers counts as waiting for another one, as
   * for a lock. Default 0: it has one turn of the event loop, enough for a store whose backend is in this process.
   */
  readonly blockedAfterMs?: number | undefined;
}

export interface Exploration {
  /** How many schedules ran. */
  readonly schedules: number;
  /** Whether these were all that there are. */
  readonly complete: boolean;
}

/**
 * Runs the operations of a scenario, each on a node of its own, under every order in which their requests can
 * interleave, and checks answers and final state against the model: some order of the operations, one after the other,
 * has to explain them.
 *
 * @param start - a new, empty backend; called for each schedule
 * @throws AssertionError with the schedule, when nothing explains what it came to
 */
export async function explore(
  scenario: Scenario,
  start: () => ExploredBackend | Promise<ExploredBackend>,
  { sample, blockedAfterMs = 0 }: ExploreOptions = {},
): Promise<Exploration> {
  const random = randomFrom(sample?.seed ?? 1);
  let judge: Judge | undefined;
  let schedules = 0;
  // The decisions that the next schedule repeats; after them it takes the first, so the last is the one to change.
  let prefix: readonly number[] | undefined = [];
  while (prefix !== undefined) {
    if (sample !== undefined && schedules === sample.schedules) return { schedules, complete: false };
    const repeated: readonly number[] = prefix;
    // The first half of a sample is taken in order: where that is all there is, it is complete.
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

/** Returns a store that awaits `step` before each call of another: to explore code that is built upon stores. */
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
    // A peek takes no step, and would read behind the explorer's back.
    peek: () => undefined,
  });
}

/** One of several ways on, and how many there were. */
interface Decision {
  readonly taken: number;
  readonly options: number;
}

/** An operation on its way, on a node of its own. */
interface Walker {
  readonly name: string;
  readonly store: SessionStore;
  /** Lets go of its requests, in the order in which it wants to send them. */
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
  const news = new News();
  for (const { name } of scenario.operations) walkers.push(await openWalker(name, open, news));
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
    news.tell();
  };

  const { decisions, history } = await runToEnd(walkers, call, decide, news, blockedAfterMs);
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

/** Opens the store of one operation, whose requests are held until the schedule lets them go. */
async function openWalker(name: string, open: (step: Step) => Promise<SessionStore>, news: News): Promise<Walker> {
  const held: (() => void)[] = [];
  let entered = false;
  let walker: Walker | undefined;
  const store = await open(() => {
    // The call and its first request are one: between them nothing happens that others could notice.
    const isFirst = !entered;
    entered ||= walker?.called === true;
    if (isFirst) return Promise.resolve();
    news.tell();
    return new Promise((resolve) => held.push(resolve));
  });
  walker = { name, store, held, called: false, done: false, startedAt: -1, endedAt: -1, outcome: "" };
  return walker;
}

/** Moves one operation at a time, as decided, until none can go on. */
async function runToEnd(
  walkers: readonly Walker[],
  call: (n: number, walker: Walker) => Promise<void>,
  decide: (depth: number, options: number) => number,
  news: News,
  blockedAfterMs: number,
): Promise<{ decisions: Decision[]; history: string[] }> {
  const decisions: Decision[] = [];
  const history: string[] = [];
  for (;;) {
    const ready = walkers.filter(canGoOn);
    if (ready.length === 0) break;
    const wanted = decide(decisions.length, ready.length);
    // A machine that stood still for a while makes an operation count as blocked that was not when this was decided.
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
    // One turn lets everything happen that needs no input from outside.
    await turn();
    await news.until(() => !walkers.some(isSilent), blockedAfterMs);
    // No operation can go on. A silent one is slow, or never answers.
    await news.until(() => walkers.some(canGoOn) || !walkers.some(isSilent), patience * blockedAfterMs);
    for (const other of walkers) if (other.done && other.endedAt < 0) other.endedAt = moment;
  }
  return { decisions, history };
}

/** Whether a decision can move it: it has yet to be called, or a request of it is held. */
function canGoOn({ called, held }: Walker): boolean {
  return !called || held.length > 0;
}

/** Whether it is at its backend, or waits for another one that is. */
function isSilent({ called, done, held }: Walker): boolean {
  return called && !done && held.length === 0;
}

/** How many times longer than it takes to count as blocked an operation may be silent before it counts as stuck. */
const patience = 30;

/** Wakes the schedule when an operation gets on. */
class News {
  #wake: () => void = () => undefined;

  tell(): void {
    this.#wake();
  }

  /** Waits until the condition holds, at most so many milliseconds. */
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

/** The decisions of the schedule after this one, depth first, or `undefined` after the last. */
function nextPrefix(decisions: readonly Decision[]): number[] | undefined {
  const last = decisions.findLastIndex(({ taken, options }) => taken + 1 < options);
  if (last < 0) return undefined;
  return decisions.slice(0, last + 1).map(({ taken }, depth) => (depth === last ? taken + 1 : taken));
}

async function refusePass(): Promise<void> {
  throw new Error("@sojourn/testkit: this scenario lets time pass, and the backend has no pass");
}
