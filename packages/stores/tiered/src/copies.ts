import type { Clock, SessionRecord } from "@sojourn/core/adapter";
import { LRUCache } from "lru-cache";

/** A record as the store answered it, in the memory of this process. */
interface Copy {
  readonly record: SessionRecord;
  /** When the request was sent. */
  readonly sentAt: number;
  /** When the store had answered. */
  readonly answeredAt: number;
}

/** A request under way whose answer may become a copy. */
export interface Fill {
  readonly id: string;
  readonly sentAt: number;
  /** Whether the session may have ended or changed since the request was sent. */
  isCancelled: boolean;
  /** What was seen of the session since the request was sent: only an answer of this state becomes a copy. */
  version: number | undefined;
  createdAt: number | undefined;
  /** The answer, for reads that may join this one. */
  answer: Promise<SessionRecord | undefined> | undefined;
}

/** The state of a session, as far as it is known. */
interface SeenState {
  readonly version: number | undefined;
  readonly createdAt?: number | undefined;
}

interface CopiesOptions {
  readonly maxStaleMs: number;
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly isOn: boolean;
}

/** The approximate memory of an entry beside its texts. */
const entryBytes = 400;

/**
 * The copies of sessions in this process, and the requests under way that may add to them.
 *
 * A request is registered before it is sent. Whatever ends or changes its session until its answer comes, in this process
 * or told by the bus, cancels it: the answer goes to its caller and is not kept. So no copy outlives the news of its end,
 * however late an answer comes. A copy whose news was lost lives for `maxStale`, counted from the sending.
 */
export class Copies {
  readonly counts = { fills: 0, cancelledFills: 0, flushes: 0 };
  readonly #maxStaleMs: number;
  readonly #clock: Clock;
  readonly #copies: LRUCache<string, Copy>;
  readonly #fills = new Map<string, Set<Fill>>();
  /** The latest read of each session, while later reads may join it. */
  readonly #joinable = new Map<string, Fill>();
  /** Sessions, and users, without copies: a write of unknown outcome may still be applied. */
  readonly #barredIds: Bars;
  readonly #barredUsers: Bars;
  #isOn: boolean;

  constructor({ maxStaleMs, maxEntries, maxBytes, clock, isOn }: CopiesOptions) {
    this.#isOn = isOn;
    this.#maxStaleMs = maxStaleMs;
    this.#clock = clock;
    this.#barredIds = new Bars(clock, maxStaleMs);
    this.#barredUsers = new Bars(clock, maxStaleMs);
    this.#copies = new LRUCache({ max: maxEntries, maxSize: maxBytes, sizeCalculation: bytesOf });
  }

  get size(): number {
    return this.#copies.size;
  }

  get bytes(): number {
    return this.#copies.calculatedSize;
  }

  /** Returns a copy of its own for each caller, with the store's time of now. */
  find(id: string): SessionRecord | undefined {
    const copy = this.#copies.get(id);
    if (copy === undefined) return undefined;
    const now = this.#clock.now();
    const ageMs = now - copy.sentAt;
    const { record } = copy;
    if (ageMs >= this.#maxStaleMs) {
      this.#copies.delete(id);
      return undefined;
    }
    // By the later estimate of the store's time. Another process may have prolonged the session: the store knows.
    if (record.now + ageMs >= record.expiresAt) return undefined;
    return { ...record, now: Math.floor(record.now + now - copy.answeredAt) };
  }

  /** Registers a request that is about to be sent. */
  begin(id: string): Fill {
    const fill: Fill = {
      id,
      sentAt: this.#clock.now(),
      isCancelled: false,
      version: undefined,
      createdAt: undefined,
      answer: undefined,
    };
    const fills = this.#fills.get(id);
    if (fills === undefined) this.#fills.set(id, new Set([fill]));
    else fills.add(fill);
    return fill;
  }

  /** Lets later reads join this one, where its answer may become a copy. */
  share(fill: Fill, answer: Promise<SessionRecord | undefined>): void {
    if (!this.#isOn || this.#barredIds.has(fill.id) || this.#barredUsers.hasAny()) return;
    fill.answer = answer;
    this.#joinable.set(fill.id, fill);
  }

  /** Returns the answer of a read under way, unless the session may have changed or the read is too old. */
  join(id: string): Promise<SessionRecord | undefined> | undefined {
    const fill = this.#joinable.get(id);
    if (fill === undefined || this.#clock.now() - fill.sentAt >= this.#maxStaleMs) return undefined;
    return fill.answer;
  }

  /** Takes the record that a request answered. */
  answered(fill: Fill, record: SessionRecord): void {
    this.seen(record.id, record, fill);
    if (!this.#mayKeep(fill, record)) {
      this.counts.cancelledFills++;
      return;
    }
    const copy = this.#copies.peek(record.id);
    // A touch of another process moves the deadline under the same version: the later request has the later deadline.
    if (copy !== undefined && copy.sentAt > fill.sentAt) return;
    this.counts.fills++;
    this.#copies.set(record.id, { record: { ...record }, sentAt: fill.sentAt, answeredAt: this.#clock.now() });
  }

  /** The request is over. */
  end(fill: Fill): void {
    const fills = this.#fills.get(fill.id);
    fills?.delete(fill);
    if (fills?.size === 0) this.#fills.delete(fill.id);
    if (this.#joinable.get(fill.id) === fill) this.#joinable.delete(fill.id);
  }

  /**
   * A state of a session was seen, in an answer or by a message: drops a copy of another state, and lets no answer of another
   * state become one. Which of two states is later does not show: an id may be used again, with versions from 1.
   */
  seen(id: string, state: SeenState, by?: Fill): void {
    const copy = this.#copies.peek(id);
    if (copy !== undefined && differs(copy.record, state)) this.#copies.delete(id);
    for (const fill of this.#fills.get(id) ?? []) {
      if (fill === by) continue;
      if (differs(fill, state)) fill.isCancelled = true;
      fill.version = state.version;
      fill.createdAt ??= state.createdAt;
    }
    if (this.#joinable.get(id) !== by) this.#joinable.delete(id);
  }

  /** A session may have ended or changed: drops its copy, and cancels requests under way. */
  drop(id: string): void {
    this.#copies.delete(id);
    for (const fill of this.#fills.get(id) ?? []) fill.isCancelled = true;
    this.#joinable.delete(id);
  }

  /** A write of unknown outcome may be applied later. */
  bar(id: string): void {
    this.#barredIds.add(id);
    this.drop(id);
  }

  /** As {@link Copies.bar}, for the sessions of a user. */
  barUser(userId: string): void {
    this.#barredUsers.add(userId);
    for (const [id, { record }] of this.#copies.entries()) if (record.userId === userId) this.#copies.delete(id);
    this.#joinable.clear();
  }

  /** Drops all copies, and cancels all requests under way. */
  flush(): void {
    this.counts.flushes++;
    this.#copies.clear();
    for (const fills of this.#fills.values()) for (const fill of fills) fill.isCancelled = true;
    this.#joinable.clear();
  }

  /** Drops all copies, and keeps new ones or none. */
  turn(on: boolean): void {
    this.#isOn = on;
    this.flush();
  }

  #mayKeep(fill: Fill, record: SessionRecord): boolean {
    const { id, userId } = record;
    if (!this.#isOn || fill.isCancelled || differs(fill, record)) return false;
    if (this.#barredIds.has(id) || (userId !== undefined && this.#barredUsers.has(userId))) return false;
    return this.#clock.now() - fill.sentAt < this.#maxStaleMs;
  }
}

/** Names that are barred for a time. */
class Bars {
  readonly #clock: Clock;
  readonly #ms: number;
  /** Until when, the oldest first. */
  readonly #until = new Map<string, number>();

  constructor(clock: Clock, ms: number) {
    this.#clock = clock;
    this.#ms = ms;
  }

  has(name: string): boolean {
    const until = this.#until.get(name);
    return until !== undefined && this.#clock.now() < until;
  }

  hasAny(): boolean {
    const now = this.#clock.now();
    for (const [name, until] of this.#until) {
      if (now < until) return true;
      this.#until.delete(name);
    }
    return false;
  }

  add(name: string): void {
    this.#until.delete(name);
    this.#until.set(name, this.#clock.now() + this.#ms);
    // Forgets those whose time is over.
    this.hasAny();
  }
}

/** Whether both are known not to be the same state. */
function differs(a: Partial<SeenState>, b: Partial<SeenState>): boolean {
  return isOther(a.version, b.version) || isOther(a.createdAt, b.createdAt);
}

function isOther(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

/** Two bytes a character, as V8 keeps text beyond Latin-1. */
function bytesOf({ record: { id, userId = "", payload } }: Copy): number {
  return 2 * (2 * id.length + userId.length + payload.length) + entryBytes;
}
