import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type Clock,
  type CreateResult,
  type EndedSession,
  type NewSession,
  type Page,
  type SessionCounts,
  SessionError,
  type SessionLimit,
  type SessionRecord,
  type StoreCapabilities,
  type StoreDriver,
  type Touch,
  type Write,
  type WriteOutcome,
} from "@sojourn/core/adapter";
import { EvictionListeners } from "./eviction-listeners.js";
import type { ResolvedOptions } from "./options.js";
import { Sessions } from "./sessions.js";
import { none } from "./table.js";

/**
 * The number of sessions examined before the event loop gets its turn: some 0.2 ms, and 2 ms in the first sweeps of a
 * process, before V8 has compiled them.
 */
const stepsPerTurn = 128;
/** The number of sessions that one write examines to find an expired one to remove. */
const stepsPerEviction = 100;

/** Keeps sessions in the memory of this process. Each method is one synchronous step, or gives the event loop its turn. */
export class MemoryDriver implements StoreDriver {
  readonly name = "@sojourn/memory";
  readonly isLocal = true;
  readonly capabilities: StoreCapabilities;
  readonly #clock: Clock;
  readonly #maxSessions: number;
  readonly #maxBytes: number;
  readonly #evictions = new EvictionListeners();
  #sessions: Sessions;
  #isClosed = false;

  constructor({ clock, maxSessions, maxBytes, maxPayloadBytes }: ResolvedOptions) {
    this.#clock = clock;
    this.#maxSessions = maxSessions;
    this.#maxBytes = maxBytes;
    this.#sessions = new Sessions(this.#now());
    this.capabilities = {
      expiryPrecisionMs: 1,
      expiry: "sweep",
      clock: "process",
      scan: true,
      count: true,
      userIndex: "atomic",
      limit: "atomic",
      clear: "enumerate",
      maxPayloadBytes,
    };
  }

  create(session: NewSession, limit: SessionLimit | undefined): CreateResult {
    const now = this.#now();
    if (this.#sessions.find(session.id, now) !== none) return { status: "duplicate" };
    const evicted = this.#makeRoom(session.userId, limit, now);
    if (evicted === undefined) return { status: "limitReached" };
    const slot = this.#sessions.add(session, now);
    const record = this.#sessions.record(slot, now);
    this.#enforceBounds(now);
    return { status: "created", record, evicted };
  }

  read(id: string): SessionRecord | undefined {
    const now = this.#now();
    const slot = this.#sessions.find(id, now);
    if (slot === none) return undefined;
    this.#sessions.use(slot);
    return this.#sessions.record(slot, now);
  }

  /** Reads a session: this process holds all of them. */
  peek(id: string): SessionRecord | undefined {
    return this.read(id);
  }

  write(write: Write): WriteOutcome {
    const now = this.#now();
    const sessions = this.#sessions;
    const slot = sessions.find(write.id, now);
    if (slot === none) return { status: "missing" };
    const { newId, expectedVersion } = write;
    if (expectedVersion !== undefined && expectedVersion !== sessions.version(slot)) {
      return { status: "conflict", current: sessions.record(slot, now) };
    }
    if (newId !== undefined && sessions.find(newId, now) !== none) return { status: "duplicate" };
    const evicted = this.#makeRoomFor(slot, write, now);
    if (evicted === undefined) return { status: "limitReached" };
    if (newId !== undefined) sessions.setId(slot, newId);
    this.#change(slot, write, now);
    const record = sessions.record(slot, now);
    this.#enforceBounds(now);
    return { status: "written", record, evicted };
  }

  touch({ id, idleMs, shorten }: Touch): boolean {
    const now = this.#now();
    const slot = this.#sessions.find(id, now);
    if (slot === none) return false;
    this.#sessions.use(slot);
    if (shorten) this.#sessions.restart(slot, idleMs, now);
    else this.#sessions.prolong(slot, idleMs, now);
    return true;
  }

  destroy(id: string): EndedSession | undefined {
    const slot = this.#sessions.find(id, this.#now());
    return slot === none ? undefined : this.#sessions.remove(slot);
  }

  listByUser(userId: string): SessionRecord[] {
    const now = this.#now();
    return this.#sessions.liveOf(userId, now).map((slot) => this.#sessions.record(slot, now));
  }

  destroyByUser(userId: string, except: string | undefined): string[] {
    const slots = this.#sessions.liveOf(userId, this.#now());
    return slots.filter((slot) => this.#sessions.id(slot) !== except).map((slot) => this.#sessions.remove(slot).id);
  }

  /** Takes time in proportion to the expired sessions, not to the live ones. */
  async sweep(limit: number): Promise<EndedSession[]> {
    const swept: EndedSession[] = [];
    for (;;) {
      const wanted = Math.min(limit - swept.length, stepsPerTurn);
      const budget = { steps: stepsPerTurn };
      this.#sessions.findExpired(wanted, this.#now(), budget);
      const removed = this.#sessions.removeExpired(wanted);
      swept.push(...removed);
      const isLast = removed.length < wanted && budget.steps > 0;
      if (isLast || swept.length === limit) return swept;
      await nextTurn();
      // The removed sessions must be reported, also when the store was closed meanwhile.
      if (this.#isClosed) return swept;
    }
  }

  /** Walks by slot: a session keeps its slot while it lives, also when it is renamed. */
  async scan(from: unknown, size: number): Promise<Page> {
    const { slot: first, end } = from === undefined ? { slot: 0, end: this.#sessions.endOfSlots } : (from as Position);
    if (first > 0) await nextTurn();
    const records: SessionRecord[] = [];
    const now = this.#now();
    const last = Math.min(end, first + stepsPerTurn);
    let slot = first;
    for (; slot < last && records.length < size; slot += 1) {
      if (this.#sessions.isUsed(slot) && this.#sessions.isLive(slot, now))
        records.push(this.#sessions.record(slot, now));
    }
    // Sessions created during the walk are not part of it.
    return { records, next: slot < end ? { slot, end } : undefined };
  }

  async count(): Promise<SessionCounts> {
    for (;;) {
      const budget = { steps: stepsPerTurn };
      const now = this.#now();
      this.#sessions.findExpiredBehindWheel(now);
      this.#sessions.findExpired(Number.POSITIVE_INFINITY, now, budget);
      if (budget.steps > 0) break;
      await nextTurn();
      if (this.#isClosed) throw new SessionError("CLOSED", `${this.name}: count: the store has been closed`);
    }
    const { size, expired, aliases, users } = this.#sessions;
    return { sessions: size - expired - aliases, sessionsWithUser: users.sessions, users: users.users };
  }

  /** Takes constant time: the garbage collector frees the sessions as a whole. */
  clear(): undefined {
    this.#sessions = new Sessions(this.#now());
  }

  onEvicted(listener: (session: EndedSession) => void): () => void {
    return this.#evictions.add(listener);
  }

  /** Drops all sessions. */
  close(): void {
    this.#isClosed = true;
    this.#sessions = new Sessions(0);
    this.#evictions.clear();
  }

  classify(cause: unknown): SessionError {
    return new SessionError("BACKEND", `${this.name}: the store failed`, { cause });
  }

  #change(slot: number, { payload, userId, idleMs, absoluteMs }: Write, now: number): void {
    const sessions = this.#sessions;
    if (payload !== undefined) sessions.setPayload(slot, payload);
    if (userId !== undefined) sessions.setUser(slot, userId ?? undefined);
    if (payload !== undefined || userId !== undefined) sessions.bumpVersion(slot);
    if (absoluteMs !== undefined) sessions.setEnd(slot, absoluteMs, now);
    if (idleMs !== undefined) sessions.restart(slot, idleMs, now);
    sessions.use(slot);
  }

  /**
   * Makes room for one more session of the user. Returns the ids to end, or `undefined` when the limit refuses the
   * session.
   */
  #makeRoom(userId: string | undefined, limit: SessionLimit | undefined, now: number): string[] | undefined {
    if (userId === undefined || limit === undefined) return [];
    const theirs = this.#sessions.liveOf(userId, now);
    const surplus = theirs.length + 1 - limit.max;
    if (surplus <= 0) return [];
    if (limit.whenReached === "reject") return undefined;
    return theirs.slice(0, surplus).map((slot) => this.#sessions.remove(slot).id);
  }

  /** As above, for a stored session: it needs room only when it gets another user. */
  #makeRoomFor(slot: number, { userId, limit }: Write, now: number): string[] | undefined {
    const changesHands = userId !== undefined && userId !== null && userId !== this.#sessions.userId(slot);
    return changesHands ? this.#makeRoom(userId, limit, now) : [];
  }

  /**
   * Ends the least recently used sessions until the rest fits. The session just used is the most recent and fits alone,
   * so it is never ended.
   */
  #enforceBounds(now: number): void {
    const sessions = this.#sessions;
    if (sessions.size <= this.#maxSessions && sessions.bytes <= this.#maxBytes) return;
    const evicted: EndedSession[] = [];
    const budget = { steps: stepsPerEviction };
    while (sessions.size > this.#maxSessions || sessions.bytes > this.#maxBytes) {
      sessions.findExpired(1, now, budget);
      if (sessions.removeExpired(1).length > 0) continue;
      const slot = sessions.leastRecent;
      const isLive = sessions.isLive(slot, now);
      const ended = sessions.remove(slot);
      if (isLive) evicted.push(ended);
    }
    // Called last, because a listener may call the store.
    for (const session of evicted) this.#evictions.tell(session);
  }

  /** Whole milliseconds, as the wheel counts. */
  #now(): number {
    return Math.floor(this.#clock.now());
  }
}

/** The position of a walk: the next slot, and the end. */
interface Position {
  readonly slot: number;
  readonly end: number;
}
