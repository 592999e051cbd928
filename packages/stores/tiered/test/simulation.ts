import {
  announceWrites,
  type BusListener,
  type BusMessage,
  decorate,
  SessionError,
  type SessionStore,
} from "@sojourn/core/adapter";
import { MemoryStore } from "@sojourn/memory";
import type { TieredStore } from "@sojourn/tiered";

/*
 * Random schedules in virtual time: three nodes with copies work on three sessions of one store. Each request, answer and
 * message is an event of its own: a message may come late or not at all, a node may lose its bus, a write may be applied after
 * its caller was told of a timeout. The history of the store then judges each answer to a read.
 */

/** Why a read must not answer a state of a session: another state had followed it ... */
export const violations = {
  told: "before the read began, as a message had told this node",
  stale: "more than maxStale before the read began",
  own: "by a write of this node that had been answered",
  backwards: "before a state that this node had already read or written",
  returned: "before this node's bus came up, or told of a gap",
  unknown: "by a write of this node whose outcome was unknown, within maxStale of its error",
  settled: "by a write that was answered so long before that its message must have arrived",
  down: "before the read began, while this node knew that its bus was down",
} as const;

export type Violation = keyof typeof violations;

export interface Variant {
  /** Who tells of a write: the store with the write, or its caller after the answer. */
  readonly announcer: "store" | "caller";
  /** The part of messages that are lost. `tellsGaps`: the bus notices. */
  readonly loss: number;
  readonly tellsGaps: boolean;
  /** Reads come from a replica that lags by this much. 0 for none. */
  readonly replicaLagMs: number;
  /** The part of requests and answers that may take longer than a copy may be old. */
  readonly slow: number;
}

export interface Findings {
  readonly schedules: number;
  readonly reads: number;
  readonly hits: number;
  readonly found: Readonly<Record<Violation, number>>;
}

export interface SimulationOptions {
  /** The class under test, or a mutant. */
  readonly Store: typeof TieredStore;
  readonly seed: number;
  readonly schedules: number;
  readonly variant?: Partial<Variant>;
  /** Ends after the first of these. */
  readonly until?: Violation;
}

export const none: Readonly<Record<Violation, number>> = {
  ...{ told: 0, stale: 0, own: 0, backwards: 0, returned: 0, unknown: 0, settled: 0, down: 0 },
};

const maxStaleMs = 120;
const slowestMessageMs = 30;
const nodes = 3;
const ids = ["a", "b", "c"];
const operationsPerSchedule = 30;
const spanMs = 260;

export async function simulate(options: SimulationOptions): Promise<Findings> {
  const random = randomOf(options.seed);
  const variant: Variant = {
    announcer: "store",
    loss: 0,
    tellsGaps: false,
    replicaLagMs: 0,
    slow: 0.08,
    ...options.variant,
  };
  const found = { ...none };
  let [schedules, reads, hits] = [0, 0, 0];
  while (schedules < options.schedules && (options.until === undefined || found[options.until] === 0)) {
    const schedule = new Schedule(options.Store, random, variant, found);
    await schedule.run();
    schedules++;
    reads += schedule.reads;
    hits += schedule.hits;
  }
  return { schedules, reads, hits, found };
}

/** A write of a node, from its call to its answer. */
interface Cause {
  readonly node: number;
  answeredAt: number;
  failedAt: number;
}

/** A state of a session in the store. Each write has a payload of its own; `undefined` where there is no session. */
interface State {
  readonly at: number;
  readonly payload: string | undefined;
  readonly version: number | undefined;
  readonly cause: Cause;
  /** When a message of it arrived, by node. */
  readonly toldAt: number[];
}

interface Event {
  readonly at: number;
  readonly run: () => void;
  /** Whether promises go on after it. */
  readonly resumes: boolean;
}

class Node {
  listener: BusListener | undefined;
  isUp = false;
  /** Whether the node has been told so. */
  knowsUp = false;
  /** When the bus last told that messages may have been lost before. */
  restartedAt = 0;
  /** Messages arrive in the order in which they were sent. */
  lastArrival = 0;
  /** The latest state that was read or written, by session: its place in the history. */
  readonly seen = new Map<string, number>();
  store: SessionStore | undefined;
}

class Schedule {
  reads = 0;
  hits = 0;
  #now = 1_000;
  #writes = 0;
  /** The write that is being called. */
  #cause: Cause = causeOf(-1);
  readonly #events: Event[] = [];
  readonly #random: () => number;
  readonly #variant: Variant;
  readonly #found: Record<Violation, number>;
  readonly #server: MemoryStore;
  /** Applies every write again, later. */
  readonly #replica: MemoryStore | undefined;
  readonly #nodes: readonly Node[] = Array.from({ length: nodes }, () => new Node());
  readonly #history = new Map<string, State[]>(ids.map((id) => [id, []]));

  constructor(Store: typeof TieredStore, random: () => number, variant: Variant, found: Record<Violation, number>) {
    this.#random = random;
    this.#variant = variant;
    this.#found = found;
    const clock = { now: () => this.#now };
    this.#server = new MemoryStore({ clock });
    this.#replica = variant.replicaLagMs > 0 ? new MemoryStore({ clock }) : undefined;
    for (const node of this.#nodes) {
      const bus = {
        subscribe: (listener: BusListener) => {
          node.listener = listener;
          return () => {};
        },
        publish: (message: BusMessage) => this.#publish(message),
        close: async () => {},
      };
      const l2 = this.#remote(variant.announcer === "store" ? announceWrites(this.#server, bus) : this.#server);
      node.store = new Store({ l2, bus, maxStale: maxStaleMs, clock });
      this.#after(this.#upTo(20), () => this.#turn(node, "up"));
      if (random() < 0.3) this.#after(this.#upTo(spanMs), () => this.#loseBus(node));
    }
  }

  async run(): Promise<void> {
    for (const id of ids) void this.#server.create(this.#session(id));
    this.#note(this.#cause);
    for (let n = 0; n < operationsPerSchedule; n++) {
      this.#after(this.#upTo(spanMs), () => void this.#operate(Math.floor(this.#random() * nodes)));
    }
    for (let next = this.#takeNext(); next !== undefined; next = this.#takeNext()) {
      this.#now = next.at;
      next.run();
      if (next.resumes) await turn();
    }
  }

  #takeNext(): Event | undefined {
    return this.#events.pop();
  }

  /** The events are in order, the next one last. */
  #after(ms: number, run: () => void, resumes = true): void {
    const event = { at: this.#now + ms, run, resumes };
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1]?.at ?? 0) <= event.at) place -= 1;
    this.#events.splice(place, 0, event);
  }

  #upTo(ms: number): number {
    return this.#random() * ms;
  }

  /** Some messages take longer than a copy may be old. */
  #latency(): number {
    return this.#upTo(this.#random() < this.#variant.slow ? 2 * maxStaleMs : 10);
  }

  #travel(ms: number): Promise<void> {
    return new Promise((resolve) => this.#after(ms, resolve));
  }

  /** A node learns some time later that it has lost its bus, and is up again after that. */
  #loseBus(node: Node): void {
    node.isUp = false;
    const noticed = this.#upTo(15);
    this.#after(noticed, () => this.#turn(node, "down"));
    this.#after(noticed + this.#upTo(40), () => this.#turn(node, "up"));
  }

  #turn(node: Node, state: "up" | "down" | "gap"): void {
    if (state !== "down") node.restartedAt = this.#now;
    if (state !== "gap") node.isUp = state === "up";
    node.knowsUp = node.isUp;
    node.listener?.state(state);
  }

  #publish(message: BusMessage): void {
    const publishedAt = this.#now;
    for (const [n, node] of this.#nodes.entries()) {
      if (!node.isUp) continue;
      if (this.#random() < this.#variant.loss) {
        if (this.#variant.tellsGaps) this.#after(this.#upTo(10), () => node.isUp && this.#turn(node, "gap"));
        continue;
      }
      node.lastArrival = Math.max(node.lastArrival, publishedAt + this.#upTo(slowestMessageMs));
      this.#after(
        node.lastArrival - this.#now,
        () => {
          if (!node.isUp) return;
          for (const state of this.#statesIn(message)) if (state.at <= publishedAt) state.toldAt[n] ??= this.#now;
          node.listener?.message(message);
        },
        false,
      );
    }
  }

  /** Returns the states that a message may tell of. */
  #statesIn(message: BusMessage): readonly State[] {
    switch (message.kind) {
      case "ended":
        return message.ids.flatMap((id) => this.#states(id));
      case "renamed":
        return this.#states(message.id);
      case "changed": {
        const { id, version } = message;
        return this.#states(id).filter((state) => version === undefined || state.version === version);
      }
      case "cleared":
        return ids.flatMap((id) => this.#states(id));
    }
  }

  #states(id: string): State[] {
    return this.#history.get(id) ?? [];
  }

  /** Puts the network between a node and the server. */
  #remote(server: SessionStore): SessionStore {
    const apply = <Result>(run: (store: SessionStore) => Promise<Result>, cause: Cause): Promise<Result> => {
      const result = run(server);
      this.#note(cause);
      const replica = this.#replica;
      if (replica !== undefined) this.#after(this.#variant.replicaLagMs, () => void run(replica));
      return result;
    };
    const write = async <Result>(run: (store: SessionStore) => Promise<Result>): Promise<Result> => {
      const cause = this.#cause;
      if (this.#random() < 0.06) {
        this.#after(50 + this.#upTo(80), () => void apply(run, cause));
        await this.#travel(40);
        cause.failedAt = this.#now;
        throw new SessionError("TIMEOUT", "simulated");
      }
      await this.#travel(this.#latency());
      const result = await apply(run, cause);
      await this.#travel(this.#latency());
      return result;
    };
    return decorate(server, {
      get: async (id) => {
        await this.#travel(this.#latency());
        const record = await (this.#replica ?? server).get(id);
        await this.#travel(this.#latency());
        return record;
      },
      peek: () => undefined,
      create: (session, options) => write((store) => store.create(session, options)),
      update: (id, change, options) => write((store) => store.update(id, change, options)),
      touch: (id, options) => write((store) => store.touch(id, options)),
      rename: (id, newId, change, options) => write((store) => store.rename(id, newId, change, options)),
      destroy: (id) => write((store) => store.destroy(id)),
      destroyByUser: (userId, options) => write((store) => store.destroyByUser(userId, options)),
    });
  }

  /** Writes down what has changed in the store. */
  #note(cause: Cause): void {
    for (const [id, states] of this.#history) {
      const { payload, version } = this.#server.peek?.(id) ?? {};
      if (payload !== states.at(-1)?.payload) states.push({ at: this.#now, payload, version, cause, toldAt: [] });
    }
  }

  #session(id: string) {
    return { id, userId: id === "c" ? undefined : "u", payload: this.#payload(), idleMs: 1e7, absoluteMs: 1e7 };
  }

  #payload(): string {
    this.#writes += 1;
    return String(this.#writes);
  }

  async #operate(n: number): Promise<void> {
    const store = this.#nodes[n]?.store;
    if (store === undefined) return;
    const id = this.#anyId();
    const dice = this.#random();
    if (dice < 0.87) return this.#read(n, store, id, dice > 0.85);
    const cause = causeOf(n);
    this.#cause = cause;
    try {
      const written = await this.#write(store, id, this.#random());
      cause.answeredAt = this.#now;
      if (written !== undefined) this.#sees(n, id, written);
    } catch {
      // The outcome is unknown.
    }
  }

  /** Returns the payload that was written under `id`. */
  async #write(store: SessionStore, id: string, dice: number): Promise<string | undefined> {
    const payload = this.#payload();
    if (dice < 0.4) return (await store.update(id, { payload })).status === "updated" ? payload : undefined;
    if (dice < 0.55) await store.touch(id, { idleMs: 1e7, shorten: this.#random() < 0.3 });
    else if (dice < 0.68) await store.destroy(id);
    else if (dice < 0.8) await store.rename(id, this.#anyId(), this.#random() < 0.5 ? { payload } : {});
    else if (dice < 0.94) await store.create({ ...this.#session(id), payload });
    else await store.destroyByUser("u");
    return undefined;
  }

  /** Reads as the manager does: a look at the copies, then a request. */
  async #read(n: number, store: SessionStore, id: string, fresh: boolean): Promise<void> {
    const began = this.#now;
    const knewUp = this.#nodes[n]?.knowsUp ?? false;
    const before = this.#nodes[n]?.seen.get(id) ?? -1;
    const record = (fresh ? undefined : store.peek?.(id)) ?? (await store.get(id, { fresh }));
    this.reads++;
    if (record === undefined) return;
    if (began === this.#now) this.hits++;
    const place = this.#states(id).findLastIndex(({ payload }) => payload === record.payload);
    if (place < before) this.#found.backwards++;
    this.#judge(n, began, knewUp, this.#states(id).slice(place + 1));
    this.#sees(n, id, record.payload);
  }

  /** @param later - the states that followed the one that was read */
  #judge(n: number, began: number, knewUp: boolean, later: readonly State[]): void {
    const followed = later.filter(({ at }) => at < began);
    const [end] = followed;
    if (end === undefined) return;
    const { restartedAt = 0, isUp = false } = this.#nodes[n] ?? {};
    const hears = isUp && restartedAt < end.at && this.#variant.loss === 0;
    const own = followed.filter(({ cause }) => cause.node === n);
    const judgement: Record<Exclude<Violation, "backwards">, boolean> = {
      told: followed.some(({ toldAt }) => (toldAt[n] ?? Infinity) < began),
      stale: end.at < began - maxStaleMs,
      own: own.some(({ cause }) => cause.answeredAt < began),
      returned: end.at < restartedAt && restartedAt < began,
      unknown: own.some(({ cause, at }) => cause.failedAt < at && began < cause.failedAt + maxStaleMs),
      settled: hears && end.cause.answeredAt + slowestMessageMs < began,
      down: !knewUp,
    };
    for (const violation of ["told", "stale", "own", "returned", "unknown", "settled", "down"] as const) {
      if (judgement[violation]) this.#found[violation]++;
    }
  }

  #sees(n: number, id: string, payload: string): void {
    const place = this.#states(id).findLastIndex((state) => state.payload === payload);
    const seen = this.#nodes[n]?.seen;
    seen?.set(id, Math.max(place, seen.get(id) ?? -1));
  }

  /** One session has most of the traffic. */
  #anyId(): string {
    return this.#random() < 0.75 ? "a" : (ids[Math.floor(this.#random() * ids.length)] ?? "a");
  }
}

/** Lets every promise that can go on do so. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function causeOf(node: number): Cause {
  return { node, answeredAt: Infinity, failedAt: Infinity };
}

/** Mulberry32: the same numbers from the same seed. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
