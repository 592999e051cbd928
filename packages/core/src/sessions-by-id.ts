import { setTimeout as delay } from "node:timers/promises";
import { type CallOptions, withAbort } from "./abort.js";
import { type CodecContext, encodeContent } from "./codec.js";
import { assertContent, decodeState, type SessionContent, type SessionMetadata, type SessionState } from "./content.js";
import type { Duration } from "./duration.js";
import { isSessionError, SessionError } from "./errors.js";
import type { ConflictReason, DestroyReason, EventHub } from "./events.js";
import { applyKeys, diffKeys, isUnchanged } from "./merge.js";
import { type ResolvedManagerOptions, resolveTimeouts } from "./options.js";
import {
  type SaveOptions,
  Session,
  type SessionData,
  type SessionWriter,
  type UpdateFunction,
  type WriteOptions,
  type WriteOutcome,
} from "./session.js";
import type { StatisticsCollector } from "./statistics.js";
import type { EndedSession, SessionChange, SessionRecord } from "./store.js";
import type { StoreCalls } from "./store-calls.js";
import { assertId } from "./validate.js";

export interface CreateInput<Data extends object> extends CallOptions {
  /** An object of JSON values. */
  readonly data: Data;
  /** Omit for an anonymous session. */
  readonly userId?: string | undefined;
  /** Shown by "active sessions" pages. Default `{}`. */
  readonly metadata?: SessionMetadata | undefined;
  /** This session's own idle timeout ("remember me"). Default: the manager's. */
  readonly idleTimeout?: Duration | undefined;
  /** This session's own absolute timeout. Default: the manager's. */
  readonly absoluteTimeout?: Duration | undefined;
}

export interface GetOptions extends CallOptions {
  /** False reads without counting as activity. Default true. */
  readonly touch?: boolean | undefined;
}

export interface TouchInput extends CallOptions {
  /** Milliseconds from now until the session ends unused. Default: the manager's idle timeout. */
  readonly idleMs?: number | undefined;
  /** Allows the deadline to move nearer. Default false. */
  readonly shorten?: boolean | undefined;
}

export interface RenameInput<Data extends object> extends CallOptions {
  /** The new user; `null` makes the session anonymous. Default: the user stays. */
  readonly userId?: string | null | undefined;
  /** Changes the data in the same step. May be called again when another writer was faster. */
  readonly update?: UpdateFunction<Data> | undefined;
}

export interface DestroyByUserInput extends CallOptions {
  /** The id of one session to keep. */
  readonly except?: string | undefined;
}

/** Each failed attempt means that another writer succeeded: a hundred in a row is a hot spot that needs another design. */
const maxAttempts = 100;

/**
 * Everything that is the same on every backend, for sessions under their storage id.
 *
 * For applications, `SessionManager` puts tokens before it; bridges, whose framework makes the secret that the client
 * holds, use it directly with the hash of that secret. Errors, beside those named: what the store throws, `ABORTED`,
 * `TIMEOUT`, `CLOSED`, and `INVALID_ARGUMENT` for a malformed id.
 */
export class SessionsById<Data extends object = SessionData> {
  readonly #options: ResolvedManagerOptions;
  readonly #calls: StoreCalls;
  readonly #events: EventHub;
  readonly #statistics: StatisticsCollector;
  readonly #writer: SessionWriter;
  /** Reads that have not been sent yet: later callers of the same tick share them. */
  readonly #pendingReads = new Map<string, Promise<SessionState | undefined>>();

  /** @internal */
  constructor(options: ResolvedManagerOptions, calls: StoreCalls, events: EventHub, statistics: StatisticsCollector) {
    this.#options = options;
    this.#calls = calls;
    this.#events = events;
    this.#statistics = statistics;
    this.#writer = {
      update: (id, state, change, write) =>
        this.#write(id, state, write, "merge", ({ content }) => change(content.data)),
      save: (id, state, data, save) => this.#save(id, state, data, save),
      destroy: (id, call) => this.destroy(id, call),
    };
  }

  /**
   * Creates a session under an id that the caller made.
   *
   * @returns `undefined` when a live session has this id; it is untouched
   * @throws SessionError `LIMIT_REACHED`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `INVALID_OPTION` for a timeout
   */
  async create(id: string, input: CreateInput<Data>): Promise<Session<Data> | undefined> {
    assertId(id);
    const { data, userId, metadata = {} } = input;
    const { idleMs, absoluteMs } = resolveTimeouts(input, this.#options);
    const own = idleMs === this.#options.idleMs ? {} : { idleMs };
    const payload = await this.#encode({ data, metadata, ...own }, { id, userId });
    const { sessionLimit: limit } = this.#options;
    const session = { id, userId, payload, idleMs, absoluteMs };
    const result = await this.#calls.runInOrder("create", id, (store) => store.create(session, { limit }), input);
    if (result.status === "duplicate") return undefined;
    if (result.status === "limitReached") throw limitReached(limit?.max);
    this.#emit("created", { id, userId });
    this.#emitDestroyed(result.evicted, userId, "limit");
    return this.#open(await decodeState(this.#options.codec, result.record));
  }

  /**
   * Reads a session, which counts as activity.
   *
   * @returns `undefined` when it is missing or has expired
   * @throws SessionError `CORRUPT`, `DECODE`
   */
  async get(id: string, { touch = true, signal }: GetOptions = {}): Promise<Session<Data> | undefined> {
    assertId(id);
    const state = await withAbort(this.#sharedRead(id, touch), signal, "get");
    if (state === undefined) this.#statistics.misses++;
    else this.#statistics.hits++;
    return state && this.#open(state);
  }

  /** Counts as activity without reading. @returns false when the session is missing or has expired */
  async touch(id: string, { idleMs = this.#options.idleMs, shorten, signal }: TouchInput = {}): Promise<boolean> {
    const touched = await this.#calls.runInOrder("touch", id, (store) => store.touch(id, { idleMs, shorten }), {
      signal,
    });
    if (touched) this.#emit("touched", { id, userId: undefined });
    return touched;
  }

  /**
   * Gives a session a new id. Its absolute deadline, and its user unless changed, stay; the old id is dead.
   *
   * Of two renames of one session one wins, the other answers `undefined`.
   *
   * @returns `undefined` when the session is missing, has expired, or changed hands while `update` ran
   * @throws SessionError `LIMIT_REACHED`, `CONFLICT` when a live session has the new id or after a hundred attempts,
   * `ENCODE`, `PAYLOAD_TOO_LARGE`
   */
  async rename(id: string, newId: string, input: RenameInput<Data> = {}): Promise<Session<Data> | undefined> {
    assertId(id);
    assertId(newId, "newId");
    const { userId, update, signal } = input;
    const limit = typeof userId === "string" ? this.#options.sessionLimit : undefined;
    const base = update && (await this.#read(id, { signal }));
    if (update !== undefined && base === undefined) return undefined;
    let current = base;
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const user: SessionChange = userId === undefined ? {} : { userId };
      const change = current && update ? { ...user, ...(await this.#renamed(current, newId, userId, update)) } : user;
      const result = await this.#calls.runInOrder(
        "rename",
        id,
        (store) => store.rename(id, newId, change, { limit, expectedVersion: current?.version }),
        { signal },
      );
      switch (result.status) {
        case "renamed":
          this.#emit("regenerated", { id: newId, previousId: id, userId: result.record.userId });
          this.#emitDestroyed(result.evicted, result.record.userId, "limit");
          return this.#open(await decodeState(this.#options.codec, result.record));
        case "missing":
          return undefined;
        case "limitReached":
          throw limitReached(limit?.max);
        case "duplicate":
          throw new SessionError("CONFLICT", "@sojourn/core: a live session has the new id");
        case "conflict":
          current = await decodeState(this.#options.codec, result.current);
          if (hasChangedUser(base, current)) return this.#conflict(current, "changedUser");
          this.#conflict(current, "retried");
          await backOff(attempt);
      }
    }
    throw tooManyAttempts(id);
  }

  /** Ends a session. @returns false when there was no live one */
  async destroy(id: string, options: CallOptions = {}): Promise<boolean> {
    const ended = await this.#calls.runInOrder("destroy", id, (store) => store.destroy(id), options);
    if (ended !== undefined) this.#emit("destroyed", { ...ended, reason: "destroyed" });
    return ended !== undefined;
  }

  /** The live sessions of a user, oldest first. One that cannot be read is left out and becomes an `error` event. */
  async listByUser(userId: string, options: CallOptions = {}): Promise<Session<Data>[]> {
    const onCorrupt = (error: SessionError): void =>
      this.#events.emit("error", { error, operation: "listByUser", userId });
    const records = await this.#calls.run(
      "listByUser",
      { userId },
      (store) => store.listByUser(userId, { onCorrupt }),
      options,
    );
    const states = await Promise.all(records.map((record) => this.#decodeOrReport(record, "listByUser")));
    return states.filter((state) => state !== undefined).map((state) => this.#open(state));
  }

  /**
   * Ends the sessions of a user ("log out everywhere"), those included that are being created or renamed meanwhile, as
   * the store's contract says.
   *
   * @returns the ids of the live sessions ended
   */
  async destroyByUser(userId: string, { except, signal }: DestroyByUserInput = {}): Promise<string[]> {
    const ids = await this.#calls.run("destroyByUser", { userId }, (store) => store.destroyByUser(userId, { except }), {
      signal,
    });
    this.#emitDestroyed(ids, userId, "destroyedByUser");
    return ids;
  }

  #open(state: SessionState): Session<Data> {
    return new Session<Data>(state, this.#writer);
  }

  /**
   * One read for all callers of a tick. It leaves the map before it is sent: a read that starts after a destroy has
   * resolved must not be answered by one that was sent before.
   */
  #sharedRead(id: string, touch: boolean): Promise<SessionState | undefined> {
    const key = touch ? `touch ${id}` : `peek ${id}`;
    let read = this.#pendingReads.get(key);
    if (read === undefined) {
      read = Promise.resolve().then(async () => {
        this.#pendingReads.delete(key);
        const state = await this.#read(id, {});
        return state && touch ? this.#touchIfDue(state) : state;
      });
      this.#pendingReads.set(key, read);
    }
    return read;
  }

  async #read(id: string, options: CallOptions): Promise<SessionState | undefined> {
    const record = await this.#calls.run("get", { id }, (store) => store.get(id), options);
    return record && decodeState(this.#options.codec, record);
  }

  /** Writes the activity down when that moves the deadline far enough. Answers `undefined` when the session ended meanwhile. */
  async #touchIfDue(state: SessionState): Promise<SessionState | undefined> {
    const { id, userId, now } = state;
    const idleMs = this.#idleMs(state);
    const expiresAt = Math.min(now + idleMs, state.endsAt);
    const gain = expiresAt - state.expiresAt;
    if (gain <= 0 || gain < (this.#options.touchAfterMs ?? idleMs / 60)) return state;
    const touched = await this.#calls.runInOrder("touch", id, (store) => store.touch(id, { idleMs }));
    if (!touched) return undefined;
    this.#emit("touched", { id, userId });
    return { ...state, expiresAt, lastActiveAt: now };
  }

  async #save(id: string, base: SessionState, data: object, options: SaveOptions): Promise<WriteOutcome> {
    assertContent({ data, metadata: base.content.metadata });
    const changes = diffKeys(base.content.data, data);
    const movesUser = options.userId !== undefined && (options.userId ?? undefined) !== base.userId;
    if (isUnchanged(changes) && !movesUser) return this.#touchOnly(id, base, options);
    const policy = options.onConflict ?? this.#options.onConflict;
    return this.#write(id, base, options, policy, (current) =>
      current === base || policy === "overwrite" ? data : applyKeys(current.content.data, changes),
    );
  }

  async #touchOnly(id: string, base: SessionState, { idleMs, signal }: SaveOptions): Promise<WriteOutcome> {
    // A lifetime that the caller names is meant, also when it is shorter than what is stored.
    const touched = await this.touch(id, {
      idleMs: idleMs ?? this.#idleMs(base),
      shorten: idleMs !== undefined,
      signal,
    });
    return { status: touched ? "unchanged" : "ended", state: base };
  }

  /** Writes what `compute` makes of the stored data, over again as long as other writers are faster. */
  async #write(
    id: string,
    base: SessionState,
    { userId, idleMs = this.#idleMs(base), signal }: WriteOptions,
    policy: SaveOptions["onConflict"],
    compute: (current: SessionState) => object | Promise<object>,
  ): Promise<WriteOutcome> {
    const limit = typeof userId === "string" ? this.#options.sessionLimit : undefined;
    let current = base;
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const data = await compute(current);
      if (data === current.content.data && userId === undefined) return { status: "unchanged", state: current };
      const owner = userId === undefined ? current.userId : (userId ?? undefined);
      const payload = await this.#encode({ ...current.content, data }, { id, userId: owner });
      const change = { payload, idleMs, ...(userId === undefined ? {} : { userId }) };
      const result = await this.#calls.runInOrder(
        "update",
        id,
        (store) => store.update(id, change, { expectedVersion: current.version, limit }),
        { signal },
      );
      switch (result.status) {
        case "updated": {
          this.#emit("updated", { id, userId: result.record.userId });
          this.#emitDestroyed(result.evicted, result.record.userId, "limit");
          return { status: "saved", state: await decodeState(this.#options.codec, result.record) };
        }
        case "missing":
          this.#conflict(current, "ended");
          return { status: "ended", state: current };
        case "limitReached":
          throw limitReached(limit?.max);
        case "conflict":
          current = await decodeState(this.#options.codec, result.current);
          if (hasChangedUser(base, current)) {
            this.#conflict(current, "changedUser");
            return { status: "changedUser", state: base };
          }
          if (policy === "fail") {
            this.#conflict(current, "refused");
            throw new SessionError(
              "CONFLICT",
              `@sojourn/core: session ${id} was written by somebody else since it was loaded`,
            );
          }
          this.#conflict(current, "retried");
          await backOff(attempt);
      }
    }
    this.#conflict(current, "refused");
    throw tooManyAttempts(id);
  }

  async #renamed(
    current: SessionState,
    newId: string,
    userId: string | null | undefined,
    update: UpdateFunction<Data>,
  ): Promise<SessionChange> {
    // The type parameter is the caller's word for what its payloads hold.
    const data = await (update as UpdateFunction<object>)(current.content.data);
    const owner = userId === undefined ? current.userId : (userId ?? undefined);
    const payload = await this.#encode({ ...current.content, data }, { id: newId, userId: owner });
    return { payload, idleMs: this.#idleMs(current) };
  }

  /** Everything that can be wrong with a payload shows here, before anything is sent. */
  async #encode(content: SessionContent, context: CodecContext): Promise<string> {
    assertContent(content);
    const payload = await encodeContent(this.#options.codec, content, context);
    const bytes = Buffer.byteLength(payload);
    const { maxPayloadBytes } = this.#options;
    if (bytes <= maxPayloadBytes) return payload;
    const message = `@sojourn/core: a session of ${bytes} bytes exceeds "maxPayloadBytes" of ${maxPayloadBytes}`;
    throw new SessionError("PAYLOAD_TOO_LARGE", message);
  }

  async #decodeOrReport(record: SessionRecord, operation: string): Promise<SessionState | undefined> {
    try {
      return await decodeState(this.#options.codec, record);
    } catch (error) {
      if (!isSessionError(error)) throw error;
      this.#events.emit("error", { error, operation, id: record.id, userId: record.userId });
      return undefined;
    }
  }

  #idleMs(state: SessionState): number {
    return state.content.idleMs ?? this.#options.idleMs;
  }

  #emit: EventHub["emit"] = (name, event) => this.#events.emit(name, event);

  #emitDestroyed(ids: readonly string[], userId: string | undefined, reason: DestroyReason): void {
    for (const id of ids) this.#emit("destroyed", { id, userId, reason });
  }

  #conflict({ id, userId }: EndedSession, reason: ConflictReason): undefined {
    this.#emit("conflict", { id, userId, reason });
  }
}

/** The user that was loaded was set, and is not the one stored: what this writer knows belongs to somebody else's session. */
function hasChangedUser(base: SessionState | undefined, current: SessionState): boolean {
  return base?.userId !== undefined && base.userId !== current.userId;
}

/** The first attempts follow at once; later ones spread, so that many writers of one session do not keep step. */
async function backOff(attempt: number): Promise<void> {
  if (attempt > 3) await delay(Math.random() * Math.min(2 ** (attempt - 3), 50));
}

function limitReached(max: number | undefined): SessionError {
  return new SessionError("LIMIT_REACHED", `@sojourn/core: the user already has ${max} sessions, the limit`);
}

function tooManyAttempts(id: string): SessionError {
  return new SessionError(
    "CONFLICT",
    `@sojourn/core: gave up writing session ${id} after ${maxAttempts} faster writers`,
  );
}
