import { setImmediate as nextTurn } from "node:timers/promises";
import {
  assertChange,
  assertId,
  assertNewSession,
  assertScan,
  assertSweep,
  assertTouch,
  type Clock,
  type CreateOptions,
  type CreateResult,
  type DestroyByUserOptions,
  type EndedSession,
  type NewSession,
  type RenameOptions,
  type RenameResult,
  type ScanOptions,
  type SessionChange,
  type SessionCounts,
  SessionError,
  type SessionLimit,
  type SessionRecord,
  type SessionStore,
  type StoreCapabilities,
  type SweepOptions,
  type TouchOptions,
  type UpdateOptions,
  type UpdateResult,
} from "@sojourn/core/adapter";
import { type MemoryStoreOptions, resolveOptions } from "./options.js";
import { Sessions } from "./sessions.js";
import { none } from "./table.js";

/**
 * Sessions looked at before the event loop gets its turn: some 0.2 ms, and 2 ms in the first sweeps of a process, which V8 has
 * not compiled.
 */
const stepsPerTurn = 128;
/** Sessions looked at by one write, in search of an expired one that makes room. */
const stepsPerEviction = 100;

/**
 * Sessions in the memory of this process: the embedded default, for one process and for tests.
 *
 * Every operation is one synchronous step. Bounded by a number of sessions and of bytes: expired sessions make room
 * first, then the least recently used ones, each of which `onEvicted` hears of. Without a `SessionManager` somebody has
 * to call `sweep`: core's `Sweeper` does.
 */
export class MemoryStore implements SessionStore {
  readonly capabilities: StoreCapabilities;
  readonly #clock: Clock;
  readonly #maxSessions: number;
  readonly #maxBytes: number;
  readonly #listeners = new Set<(session: EndedSession) => void>();
  #sessions: Sessions;
  #closed = false;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: MemoryStoreOptions = {}) {
    const { clock, maxSessions, maxBytes, maxPayloadBytes } = resolveOptions(options);
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

  async create(session: NewSession, options: CreateOptions = {}): Promise<CreateResult> {
    this.#assertOpen();
    assertNewSession(session, options, this.capabilities);
    const now = this.#now();
    if (this.#sessions.find(session.id, now) !== none) return { status: "duplicate" };
    const evicted = this.#makeRoom(session.userId, options.limit, now);
    if (evicted === undefined) return { status: "limitReached" };
    const slot = this.#sessions.add(session, now);
    const record = this.#sessions.record(slot, now);
    this.#enforceBounds(now);
    return { status: "created", record, evicted };
  }

  async get(id: string): Promise<SessionRecord | undefined> {
    this.#assertOpen();
    assertId(id);
    const now = this.#now();
    const slot = this.#sessions.find(id, now);
    if (slot === none) return undefined;
    this.#sessions.use(slot);
    return this.#sessions.record(slot, now);
  }

  async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
    this.#assertOpen();
    assertId(id);
    assertChange(change, options, this.capabilities);
    const now = this.#now();
    const slot = this.#sessions.find(id, now);
    if (slot === none) return { status: "missing" };
    if (this.#isConflict(slot, options)) return { status: "conflict", current: this.#sessions.record(slot, now) };
    const evicted = this.#makeRoomFor(slot, change, options.limit, now);
    if (evicted === undefined) return { status: "limitReached" };
    return { status: "updated", record: this.#write(slot, change, now), evicted };
  }

  async touch(id: string, options: TouchOptions): Promise<boolean> {
    this.#assertOpen();
    assertTouch(id, options);
    const now = this.#now();
    const slot = this.#sessions.find(id, now);
    if (slot === none) return false;
    this.#sessions.use(slot);
    if (options.shorten === true) this.#sessions.restart(slot, options.idleMs, now);
    else this.#sessions.prolong(slot, options.idleMs, now);
    return true;
  }

  async rename(
    id: string,
    newId: string,
    change: SessionChange = {},
    options: RenameOptions = {},
  ): Promise<RenameResult> {
    this.#assertOpen();
    assertId(id);
    assertId(newId, "newId");
    assertChange(change, options, this.capabilities);
    const now = this.#now();
    const slot = this.#sessions.find(id, now);
    if (slot === none) return { status: "missing" };
    if (this.#isConflict(slot, options)) return { status: "conflict", current: this.#sessions.record(slot, now) };
    if (this.#sessions.find(newId, now) !== none) return { status: "duplicate" };
    const evicted = this.#makeRoomFor(slot, change, options.limit, now);
    if (evicted === undefined) return { status: "limitReached" };
    this.#sessions.setId(slot, newId);
    return { status: "renamed", record: this.#write(slot, change, now), evicted };
  }

  async destroy(id: string): Promise<EndedSession | undefined> {
    this.#assertOpen();
    assertId(id);
    const slot = this.#sessions.find(id, this.#now());
    return slot === none ? undefined : this.#sessions.remove(slot);
  }

  async listByUser(userId: string): Promise<SessionRecord[]> {
    this.#assertOpen();
    assertId(userId, "userId");
    const now = this.#now();
    return this.#sessions.liveOf(userId, now).map((slot) => this.#sessions.record(slot, now));
  }

  async destroyByUser(userId: string, { except }: DestroyByUserOptions = {}): Promise<string[]> {
    this.#assertOpen();
    assertId(userId, "userId");
    if (except !== undefined) assertId(except, "except");
    const slots = this.#sessions.liveOf(userId, this.#now());
    return slots.filter((slot) => this.#sessions.id(slot) !== except).map((slot) => this.#sessions.remove(slot).id);
  }

  /** Costs time in proportion to what has expired, not to what lives, and gives the event loop its turn in between. */
  async sweep(options: SweepOptions): Promise<EndedSession[]> {
    this.#assertOpen();
    assertSweep(options);
    const swept: EndedSession[] = [];
    for (;;) {
      const wanted = Math.min(options.limit - swept.length, stepsPerTurn);
      const budget = { steps: stepsPerTurn };
      this.#sessions.findExpired(wanted, this.#now(), budget);
      const removed = this.#sessions.removeExpired(wanted);
      swept.push(...removed);
      const isLast = removed.length < wanted && budget.steps > 0;
      if (isLast || swept.length === options.limit) return swept;
      await nextTurn();
      // What has been removed must be reported, also when the store was closed meanwhile.
      if (this.#closed) return swept;
    }
  }

  /** Holds no batch: each record is read when it is asked for. */
  async *scan(options: ScanOptions = {}): AsyncGenerator<SessionRecord, void, undefined> {
    this.#assertOpen();
    assertScan(options);
    // A session keeps its slot as long as it lives, under whatever id. Beyond this end are later ones only.
    const end = this.#sessions.endOfSlots;
    for (let slot = 0; slot < end; slot += 1) {
      const now = this.#now();
      if (this.#sessions.isUsed(slot) && this.#sessions.isLive(slot, now)) yield this.#sessions.record(slot, now);
      if (slot % stepsPerTurn === stepsPerTurn - 1) await nextTurn();
      this.#assertOpen();
    }
  }

  async count(): Promise<SessionCounts> {
    this.#assertOpen();
    for (;;) {
      const budget = { steps: stepsPerTurn };
      const now = this.#now();
      this.#sessions.findExpiredBehindWheel(now);
      this.#sessions.findExpired(Number.POSITIVE_INFINITY, now, budget);
      if (budget.steps > 0) break;
      await nextTurn();
      this.#assertOpen();
    }
    const { size, expired, users } = this.#sessions;
    return { sessions: size - expired, sessionsWithUser: users.sessions, users: users.users };
  }

  /** At once, whatever the number: the sessions are left to the garbage collector as a whole. */
  async clear(): Promise<void> {
    this.#assertOpen();
    this.#sessions = new Sessions(this.#now());
  }

  /** Called after the write that needed the room, whose session is never the one evicted. */
  onEvicted(listener: (session: EndedSession) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Lets go of the sessions. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#sessions = new Sessions(0);
    this.#listeners.clear();
  }

  #write(slot: number, { payload, userId, idleMs }: SessionChange, now: number): SessionRecord {
    if (payload !== undefined) this.#sessions.setPayload(slot, payload);
    if (userId !== undefined) this.#sessions.setUser(slot, userId ?? undefined);
    if (payload !== undefined || userId !== undefined) this.#sessions.bumpVersion(slot);
    if (idleMs !== undefined) this.#sessions.restart(slot, idleMs, now);
    this.#sessions.use(slot);
    const record = this.#sessions.record(slot, now);
    this.#enforceBounds(now);
    return record;
  }

  #isConflict(slot: number, { expectedVersion }: UpdateOptions): boolean {
    return expectedVersion !== undefined && expectedVersion !== this.#sessions.version(slot);
  }

  /** Makes room for one more session of the user. Returns the ids that had to go, or `undefined` when that is not allowed. */
  #makeRoom(userId: string | undefined, limit: SessionLimit | undefined, now: number): string[] | undefined {
    if (userId === undefined || limit === undefined) return [];
    const theirs = this.#sessions.liveOf(userId, now);
    const surplus = theirs.length + 1 - limit.max;
    if (surplus <= 0) return [];
    if (limit.whenReached === "reject") return undefined;
    return theirs.slice(0, surplus).map((slot) => this.#sessions.remove(slot).id);
  }

  /** The same for a stored session: only one that changes hands needs room. */
  #makeRoomFor(
    slot: number,
    { userId }: SessionChange,
    limit: SessionLimit | undefined,
    now: number,
  ): string[] | undefined {
    const changesHands = userId !== undefined && userId !== null && userId !== this.#sessions.userId(slot);
    return changesHands ? this.#makeRoom(userId, limit, now) : [];
  }

  /** Ends sessions until the rest fits, never the one just used: it is the most recent, and fits alone. */
  #enforceBounds(now: number): void {
    const evicted: EndedSession[] = [];
    const budget = { steps: stepsPerEviction };
    const sessions = this.#sessions;
    while (sessions.size > this.#maxSessions || sessions.bytes > this.#maxBytes) {
      sessions.findExpired(1, now, budget);
      if (sessions.removeExpired(1).length > 0) continue;
      const slot = sessions.leastRecent;
      const isLive = sessions.isLive(slot, now);
      const ended = sessions.remove(slot);
      if (isLive) evicted.push(ended);
    }
    // Last of all: a listener may call the store.
    for (const session of evicted) this.#announce(session);
  }

  #announce(session: EndedSession): void {
    for (const listener of this.#listeners) {
      try {
        listener(session);
      } catch (error) {
        // The write that made room has succeeded.
        const reason = error instanceof Error ? error.message : typeof error;
        process.emitWarning(`@sojourn/memory: a listener of evictions failed: ${reason}`);
      }
    }
  }

  /** Whole milliseconds: the wheel counts in them. */
  #now(): number {
    return Math.floor(this.#clock.now());
  }

  #assertOpen(): void {
    if (this.#closed) throw new SessionError("CLOSED", "@sojourn/memory: the store has been closed");
  }
}
