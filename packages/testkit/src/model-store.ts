import {
  type EndedSession,
  type SessionCounts,
  SessionError,
  type SessionLimit,
  type SessionStore,
} from "@sojourn/core";
import {
  assertCall,
  assertChange,
  assertId,
  assertNewSession,
  assertScan,
  assertSweep,
  assertTouch,
  type CreateOptions,
  type CreateResult,
  type DestroyByUserOptions,
  isAliasId,
  type NewSession,
  type ReadManyOptions,
  type ReadOptions,
  type RenameOptions,
  type RenameResult,
  type ScanOptions,
  type SessionChange,
  type SessionRecord,
  type SessionRename,
  type StoreCallOptions,
  type StoreCapabilities,
  type SweepOptions,
  type TouchOptions,
  type UpdateOptions,
  type UpdateResult,
} from "@sojourn/core/adapter";

/** A session of the model: the record without the moment of reading. */
export interface ModelSession {
  readonly id: string;
  readonly userId: string | undefined;
  /** `undefined` for a record that cannot be read. */
  readonly payload: string | undefined;
  readonly version: number;
  readonly createdAt: number;
  readonly lastActiveAt: number;
  readonly expiresAt: number;
  readonly endsAt: number;
}

/** The backend of {@link ModelStore}s. Stores on one backend share their sessions. */
export class ModelBackend {
  readonly sessions: Map<string, ModelSession> = new Map();
  readonly now: () => number;

  constructor(now: () => number = Date.now) {
    this.now = now;
  }
}

const capabilities: StoreCapabilities = {
  expiryPrecisionMs: 1,
  expiry: "sweep",
  clock: "process",
  scan: true,
  count: true,
  userIndex: "atomic",
  limit: "atomic",
  clear: "enumerate",
  maxPayloadBytes: 4 * 1_024 * 1_024,
};

/**
 * The contract in its simplest form: one map, no index, each operation one synchronous step.
 *
 * Races and schedules are compared with it. Every operation walks all sessions, so it is not meant for use.
 */
export class ModelStore implements SessionStore {
  readonly capabilities: StoreCapabilities;
  protected readonly backend: ModelBackend;
  #closed = false;

  constructor(backend: ModelBackend = new ModelBackend(), declared: Partial<StoreCapabilities> = {}) {
    this.backend = backend;
    this.capabilities = { ...capabilities, ...declared };
  }

  async create(session: NewSession, options: CreateOptions = {}, call?: StoreCallOptions): Promise<CreateResult> {
    this.assertOpen(call);
    assertNewSession(session, options, this.capabilities);
    if (this.live(session.id) !== undefined) return { status: "duplicate" };
    const evicted = this.makeRoom(session.userId, options.limit);
    if (evicted === undefined) return { status: "limitReached" };
    const now = this.backend.now();
    const endsAt = now + session.absoluteMs;
    const { ageMs = 0, inactiveMs = 0, version = 1 } = session;
    const created: ModelSession = {
      id: session.id,
      userId: session.userId,
      payload: session.payload,
      version,
      createdAt: now - ageMs,
      lastActiveAt: now - inactiveMs,
      expiresAt: Math.min(now + session.idleMs, endsAt),
      endsAt,
    };
    this.write(created);
    return { status: "created", record: this.read(created), evicted };
  }

  async get(id: string, _options?: ReadOptions, call?: StoreCallOptions): Promise<SessionRecord | undefined> {
    this.assertOpen(call);
    assertId(id);
    const session = this.live(id);
    return session === undefined ? undefined : this.read(session);
  }

  async update(
    id: string,
    change: SessionChange,
    options: UpdateOptions = {},
    call?: StoreCallOptions,
  ): Promise<UpdateResult> {
    this.assertOpen(call);
    assertId(id);
    assertChange(change, options, this.capabilities);
    const session = this.live(id);
    if (session === undefined) return { status: "missing" };
    if (options.expectedVersion !== undefined && options.expectedVersion !== session.version) {
      return { status: "conflict", current: this.read(session) };
    }
    const evicted = this.makeRoomFor(session, change, options.limit);
    if (evicted === undefined) return { status: "limitReached" };
    const updated = this.changed(session, change);
    this.write(updated);
    return { status: "updated", record: this.read(updated), evicted };
  }

  async touch(id: string, options: TouchOptions, call?: StoreCallOptions): Promise<boolean> {
    this.assertOpen(call);
    assertTouch(id, options);
    const session = this.live(id);
    if (session === undefined) return false;
    const now = this.backend.now();
    const deadline = Math.min(now + options.idleMs, session.endsAt);
    const expiresAt = options.shorten === true ? deadline : Math.max(deadline, session.expiresAt);
    this.write({ ...session, lastActiveAt: now, expiresAt });
    return true;
  }

  async rename(
    id: string,
    newId: string,
    change: SessionRename = {},
    options: RenameOptions = {},
    call?: StoreCallOptions,
  ): Promise<RenameResult> {
    this.assertOpen(call);
    assertId(id);
    assertId(newId, "newId");
    assertChange(change, options, this.capabilities);
    const session = this.live(id);
    if (session === undefined) return { status: "missing" };
    if (options.expectedVersion !== undefined && options.expectedVersion !== session.version) {
      return { status: "conflict", current: this.read(session) };
    }
    if (this.live(newId) !== undefined) return { status: "duplicate" };
    const evicted = this.makeRoomFor(session, change, options.limit);
    if (evicted === undefined) return { status: "limitReached" };
    const renamed = { ...this.changed(session, change), id: newId };
    this.write(renamed);
    this.backend.sessions.delete(id);
    return { status: "renamed", record: this.read(renamed), evicted };
  }

  async destroy(id: string, call?: StoreCallOptions): Promise<EndedSession | undefined> {
    this.assertOpen(call);
    assertId(id);
    const session = this.live(id);
    if (session === undefined) return undefined;
    this.backend.sessions.delete(id);
    return { id, userId: session.userId };
  }

  async listByUser(
    userId: string,
    { onCorrupt }: ReadManyOptions = {},
    call?: StoreCallOptions,
  ): Promise<SessionRecord[]> {
    this.assertOpen(call);
    assertId(userId, "userId");
    return this.readAll(this.liveOf(userId), onCorrupt);
  }

  async destroyByUser(
    userId: string,
    { except }: DestroyByUserOptions = {},
    call?: StoreCallOptions,
  ): Promise<string[]> {
    this.assertOpen(call);
    assertId(userId, "userId");
    if (except !== undefined) assertId(except, "except");
    const ended = this.liveOf(userId).filter(({ id }) => id !== except);
    for (const { id } of ended) this.backend.sessions.delete(id);
    return ended.map(({ id }) => id);
  }

  async sweep(options: SweepOptions, call?: StoreCallOptions): Promise<EndedSession[]> {
    this.assertOpen(call);
    assertSweep(options);
    if (this.capabilities.expiry === "native") return [];
    const expired = [...this.backend.sessions.values()]
      .filter((session) => !this.isLive(session))
      .slice(0, options.limit);
    for (const { id } of expired) this.backend.sessions.delete(id);
    return expired.map(({ id, userId }) => ({ id, userId }));
  }

  async *scan(options: ScanOptions = {}, call?: StoreCallOptions): AsyncIterable<SessionRecord> {
    this.assertOpen(call);
    assertScan(options);
    for (const { id } of [...this.backend.sessions.values()]) {
      const session = this.live(id);
      if (session !== undefined) yield* this.readAll([session], options.onCorrupt);
    }
  }

  async count(call?: StoreCallOptions): Promise<SessionCounts> {
    this.assertOpen(call);
    const records = [...this.backend.sessions.values()];
    const live = records.filter((session) => this.isLive(session) && !isAliasId(session.id));
    const users = live.map(({ userId }) => userId).filter((userId) => userId !== undefined);
    return { sessions: live.length, sessionsWithUser: users.length, users: new Set(users).size };
  }

  async clear(call?: StoreCallOptions): Promise<void> {
    this.assertOpen(call);
    this.backend.sessions.clear();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  protected assertOpen(call: StoreCallOptions = {}): void {
    if (this.#closed) throw new SessionError("CLOSED", "@sojourn/testkit: the model store has been closed");
    assertCall(call);
    if (call.signal?.aborted !== true) return;
    throw new SessionError("ABORTED", "@sojourn/testkit: aborted by the caller", { cause: call.signal.reason });
  }

  protected isLive(session: ModelSession): boolean {
    return this.backend.now() < session.expiresAt;
  }

  protected live(id: string): ModelSession | undefined {
    const session = this.backend.sessions.get(id);
    return session !== undefined && this.isLive(session) ? session : undefined;
  }

  /** Oldest first. */
  protected liveOf(userId: string): ModelSession[] {
    return [...this.backend.sessions.values()]
      .filter((session) => session.userId === userId && this.isLive(session))
      .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  /**
   * Makes room for one more session of the user. Returns the ids to end, or `undefined` when the limit refuses the
   * session.
   */
  protected makeRoom(userId: string | undefined, limit: SessionLimit | undefined): string[] | undefined {
    if (userId === undefined || limit === undefined) return [];
    const theirs = this.liveOf(userId).map(({ id }) => id);
    const surplus = theirs.length + 1 - limit.max;
    if (surplus <= 0) return [];
    if (limit.whenReached === "reject") return undefined;
    const evicted = theirs.slice(0, surplus);
    for (const id of evicted) this.backend.sessions.delete(id);
    return evicted;
  }

  /** As above, for a stored session: it needs room only when it gets another user. */
  protected makeRoomFor(
    session: ModelSession,
    { userId }: SessionChange,
    limit: SessionLimit | undefined,
  ): string[] | undefined {
    const changesHands = userId !== undefined && userId !== null && userId !== session.userId;
    return changesHands ? this.makeRoom(userId, limit) : [];
  }

  protected changed(session: ModelSession, { payload, userId, idleMs, absoluteMs }: SessionRename): ModelSession {
    const now = this.backend.now();
    const endsAt = absoluteMs === undefined ? session.endsAt : now + absoluteMs;
    return {
      ...session,
      payload: payload ?? session.payload,
      userId: userId === undefined ? session.userId : (userId ?? undefined),
      version: payload === undefined && userId === undefined ? session.version : session.version + 1,
      lastActiveAt: idleMs === undefined ? session.lastActiveAt : now,
      expiresAt: Math.min(idleMs === undefined ? session.expiresAt : now + idleMs, endsAt),
      endsAt,
    };
  }

  protected write(session: ModelSession): void {
    this.backend.sessions.set(session.id, session);
  }

  protected read(session: ModelSession): SessionRecord {
    const { payload } = session;
    if (payload === undefined) throw new SessionError("CORRUPT", "@sojourn/testkit: a record cannot be read");
    return { ...session, payload, now: this.backend.now() };
  }

  protected readAll(sessions: readonly ModelSession[], onCorrupt: ReadManyOptions["onCorrupt"]): SessionRecord[] {
    return sessions.flatMap((session) => {
      if (session.payload !== undefined) return [this.read(session)];
      onCorrupt?.(new SessionError("CORRUPT", "@sojourn/testkit: a record cannot be read"));
      return [];
    });
  }
}
