import { authentication } from "../content/authentication.js";
import { type SessionMetadata, type SessionState, writtenState } from "../content/content.js";
import { answerUnreadable } from "../content/content-format.js";
import { throwIfAborted, withAbort } from "../contract/abort.js";
import type { CallOptions } from "../contract/call.js";
import type { Duration } from "../contract/duration.js";
import type { SessionError } from "../contract/errors.js";
import type { SessionCounts, SessionRecord } from "../contract/store.js";
import { assertId } from "../contract/validate.js";
import { ClientBinding } from "./binding.js";
import type { Client, ClientOptions } from "./client.js";
import type { Detection } from "./detection.js";
import type { EventHub } from "./events.js";
import {
  type ResolvedManagerOptions,
  requireUnreadablePolicy,
  resolveTimeouts,
  type UnreadablePolicy,
} from "./options.js";
import { isAliasId, RegenerationGrace } from "./regeneration-grace.js";
import { Session, type SessionData, type SessionWriter, type UpdateFunction } from "./session.js";
import { SessionWrites } from "./session-writes.js";
import type { StatisticsCollector } from "./statistics.js";
import type { StoreCalls } from "./store-calls.js";
import { SupersededWriter } from "./superseded-writer.js";
import { exportSessions, type UserExport } from "./user-export.js";

export interface CreateInput<Data extends object> extends CallOptions {
  /** Whom to bind the session to, where `binding` is set. Default: nobody. */
  readonly client?: Client | undefined;
  /** An object of JSON values. */
  readonly data: Data;
  /** Omit for an anonymous session. */
  readonly userId?: string | undefined;
  /** Whether the user has just proven who they are, for `session.isFresh`. Needs a user. Default false. */
  readonly authenticated?: boolean | undefined;
  /** Shown by "active sessions" pages. Default `{}`. */
  readonly metadata?: SessionMetadata | undefined;
  /** This session's own idle timeout ("remember me"). Default: the manager's. */
  readonly idleTimeout?: Duration | undefined;
  /** This session's own absolute timeout. Default: the manager's. */
  readonly absoluteTimeout?: Duration | undefined;
}

export interface GetOptions extends CallOptions, ClientOptions {
  /** False reads without counting as activity. Default true. */
  readonly touch?: boolean | undefined;
  /** What is answered for a session that cannot be read. Default: the manager's `onUnreadable`. */
  readonly onUnreadable?: UnreadablePolicy | undefined;
}

export interface RenameInput<Data extends object> extends CallOptions {
  /** Who presents the session, to be checked and bound anew where `binding` is set. Default: it stays bound as it was. */
  readonly client?: Client | undefined;
  /** The new user; `null` makes the session anonymous. Default: the user stays. */
  readonly userId?: string | null | undefined;
  /** Changes the data in the same step. May be called again when another writer was faster. */
  readonly update?: UpdateFunction<Data> | undefined;
  /**
   * Whether the old token goes on reading the session, in its new state, for the manager's `regenerationGrace`. Default:
   * true, but false with an `update` or `authenticated`, which may be a change of privilege. Never for an anonymous session,
   * never when the user changes, and never for the token under which `update` or `save` has set the user: whoever planted
   * the old token would read the session that its victim has logged into.
   */
  readonly grace?: boolean | undefined;
  /**
   * Whether the session's user, after this, has just proven who they are, for `session.isFresh`. Needs a user. Default: what
   * was proven before stays, unless the user changes.
   */
  readonly authenticated?: boolean | undefined;
}

export interface DestroyByUserInput extends CallOptions {
  /** The id of one session to keep. */
  readonly except?: string | undefined;
}

/**
 * Everything that is the same on every backend, for sessions under their storage id.
 *
 * For applications, `SessionManager` puts tokens before it; bridges, whose framework makes the secret that the client
 * holds, use it directly with the hash of that secret. Errors, beside those named: what the store throws, `ABORTED`,
 * `TIMEOUT`, `CLOSED`, and `INVALID_ARGUMENT` for a malformed id.
 */
export class SessionsById<Data extends object = SessionData, Input extends object = Data> {
  /** The idle timeout of sessions that have none of their own, in milliseconds. */
  readonly idleMs: number;
  /** The absolute timeout of sessions that have none of their own, in milliseconds. */
  readonly absoluteMs: number;

  readonly #options: ResolvedManagerOptions;
  readonly #calls: StoreCalls;
  readonly #events: EventHub;
  readonly #statistics: StatisticsCollector;
  readonly #binding: ClientBinding | undefined;
  readonly #detection: Detection;
  readonly #grace: RegenerationGrace | undefined;
  readonly #writes: SessionWrites;
  readonly #superseded: SupersededWriter;
  /** Reads of this moment, which count as activity or not: later callers of the same tick share them. */
  readonly #touchingReads = new Map<string, Promise<Lookup>>();
  readonly #peekingReads = new Map<string, Promise<Lookup>>();

  /** @internal */
  constructor(
    options: ResolvedManagerOptions,
    calls: StoreCalls,
    events: EventHub,
    detection: Detection,
    statistics: StatisticsCollector,
  ) {
    this.idleMs = options.idleMs;
    this.absoluteMs = options.absoluteMs;
    this.#options = options;
    this.#calls = calls;
    this.#events = events;
    this.#detection = detection;
    this.#statistics = statistics;
    const { binding, codec, regenerationGraceMs } = options;
    this.#binding = binding && new ClientBinding(binding, detection);
    this.#grace = regenerationGraceMs > 0 ? new RegenerationGrace(regenerationGraceMs, codec, calls) : undefined;
    this.#writes = new SessionWrites(options, calls, events, detection, this.#grace);
    this.#superseded = new SupersededWriter(this.#writes, events);
  }

  /**
   * Creates a session under an id that the caller made.
   *
   * @returns `undefined` when a live session has this id; it is untouched
   * @throws SessionError `LIMIT_REACHED`, `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `INVALID_OPTION` for a timeout
   */
  async create(id: string, input: CreateInput<Input>): Promise<Session<Data> | undefined> {
    assertId(id);
    const { data, userId, authenticated = false, metadata = {}, client } = input;
    const { idleMs, absoluteMs } = resolveTimeouts(input, this.#options);
    const own = {
      ...(idleMs !== this.#options.idleMs && { idleMs }),
      ...(authenticated && { authenticated: authentication(userId, 0) }),
      ...(client && this.#binding && { boundTo: this.#binding.bind(client) }),
    };
    const { payload, content } = await this.#writes.encode({ data, metadata, ...own }, { id, userId });
    const limit = this.#writes.limitFor(userId);
    const session = { id, userId, payload, idleMs, absoluteMs };
    const result = await this.#calls.runInOrder("create", id, (store) => store.create(session, { limit }), input);
    if (result.status === "duplicate") return undefined;
    if (result.status === "limitReached") throw this.#writes.limitReached(limit, userId);
    this.#events.emit("created", { id, userId });
    this.#writes.emitDestroyed(result.evicted, userId, "limit");
    return this.#open(writtenState(result.record, content));
  }

  /**
   * Reads a session, which counts as activity. By an id that it had before a regeneration, within the
   * `regenerationGrace`, it is read as it is now, under its new id, and that does not count.
   *
   * @returns `undefined` when it is missing, has expired, or is bound to another client
   * @throws SessionError `CORRUPT`; `DECODE` unless `onUnreadable` says otherwise
   */
  async get(id: string, options: GetOptions = {}): Promise<Session<Data> | undefined> {
    const { touch = true, onUnreadable = this.#options.onUnreadable, client, signal } = options;
    assertId(id);
    requireUnreadablePolicy(onUnreadable);
    throwIfAborted(signal, "get");
    const found = await answerUnreadable(onUnreadable, withAbort(this.#sharedRead(id, touch, client), signal, "get"));
    if (found !== undefined && found !== "rejected") {
      this.#statistics.hits++;
      return this.#open(found.state, found.writer);
    }
    this.#statistics.misses++;
    if (found === undefined) this.#detection.report("unknownTokens", client?.ip, { source: client?.ip });
    return undefined;
  }

  /**
   * Gives a session a new id. Its absolute deadline, and its user unless changed, stay; the old id is dead, or only reads
   * for the `regenerationGrace`. Reads the session first: one that cannot be read keeps its id. Counts as activity.
   *
   * Of two renames of one session one wins, the other answers `undefined`.
   *
   * @returns `undefined` when the session is missing, has expired, or changed hands meanwhile, or
   * is bound to another client
   * @throws SessionError `LIMIT_REACHED`, `CONFLICT` when a live session has the new id or after a hundred attempts,
   * `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`
   */
  async rename(id: string, newId: string, input: RenameInput<Data> = {}): Promise<Session<Data> | undefined> {
    assertId(id);
    assertId(newId, "newId");
    const { userId, update = same, authenticated = false, client, signal } = input;
    const base = await answerUnreadable(this.#options.onUnreadable, this.#read(id, { signal }));
    if (base === undefined || !this.#admits(base, client)) return undefined;
    // An anonymous session is on its way to a login, which has no grace, also where it takes more than one step: the token of
    // one that was given its user in place may have been planted before.
    const isOwned = base.userId !== undefined && base.content.gainedUserAs !== id;
    if (isOwned && (userId ?? base.userId) === base.userId) {
      await this.#graceOf(input)?.announce(id, newId, base.userId, { signal });
    }
    const state = await this.#writes.rename(newId, userId, {
      base,
      // The session hands `update` data of the type that the caller says its payloads hold.
      change: update as UpdateFunction<object>,
      authenticated,
      boundTo: client && this.#binding?.bind(client),
      signal,
    });
    return state && this.#open(state);
  }

  /**
   * Ends a session, also by an id that it had before a regeneration, within the `regenerationGrace`.
   *
   * @returns false when there was no live one
   */
  destroy(id: string, options: CallOptions = {}): Promise<boolean> {
    return this.#writes.destroy(id, options);
  }

  /** The live sessions of a user, oldest first. One that cannot be read is left out and becomes an `error` event. */
  async listByUser(userId: string, options: CallOptions = {}): Promise<Session<Data>[]> {
    const operation = "listByUser";
    const records = await this.#recordsOf(userId, operation, options);
    const states = await Promise.all(records.map((record) => this.#decodeOrReport(record, operation)));
    return states.filter((state) => state !== undefined).map((state) => this.#open(state));
  }

  /**
   * Everything that is kept about the live sessions of a user, those that cannot be read included as far as they can.
   *
   * @throws SessionError when one cannot be read for the moment, as without its key service: the answer would not be complete
   */
  async exportUser(userId: string, options: CallOptions = {}): Promise<UserExport<Data>> {
    const operation = "exportUser";
    const corrupt: SessionError[] = [];
    const records = await this.#recordsOf(userId, operation, options, corrupt);
    const decode = (record: SessionRecord): Promise<SessionState> => this.#writes.decode(record, operation, true);
    return exportSessions(userId, records, corrupt, decode, (state) => this.#open(state));
  }

  /**
   * Ends the sessions of a user ("log out everywhere"), those included that are being created or renamed meanwhile, as
   * the store's contract says.
   *
   * @returns the ids of the live sessions ended
   */
  async destroyByUser(userId: string, { except, signal }: DestroyByUserInput = {}): Promise<string[]> {
    // By an id that only reads, a caller still means its own session.
    const keep = except && ((await this.#grace?.current(except, { signal }))?.id ?? except);
    const ids = await this.#calls.run(
      "destroyByUser",
      { userId },
      (store) => store.destroyByUser(userId, { except: keep }),
      { signal },
    );
    this.#writes.emitDestroyed(ids, userId, "destroyedByUser");
    return ids;
  }

  /**
   * Walks all live sessions in no particular order, in bounded memory. One that cannot be read is left out and becomes an
   * `error` event.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  async *scan({ signal }: CallOptions = {}): AsyncGenerator<Session<Data>, void, undefined> {
    const operation = "scan";
    const onCorrupt = (error: SessionError): void => this.#events.emit("error", { error, operation });
    const records = this.#options.store.scan({ onCorrupt })[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await this.#calls.runUnbounded(operation, {}, () => records.next(), { signal });
        if (done) return;
        if (isAliasId(value.id)) continue;
        const state = await this.#decodeOrReport(value, operation);
        if (state !== undefined) yield this.#open(state);
      }
    } finally {
      // A walk that was aborted does not wait for the store's step under way. What was read stands, whatever this does.
      await withAbort(Promise.resolve(records.return?.()), signal, operation).catch(ignore);
    }
  }

  /**
   * How many live sessions and users there are. May cost the store time. Each regeneration with grace counts as one more
   * anonymous session until the grace is over.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  count(options: CallOptions = {}): Promise<SessionCounts> {
    return this.#calls.runUnbounded("count", {}, (store) => store.count(), options);
  }

  /** Ends all sessions of the store's namespace, without an event for each. One created meanwhile may stay. */
  clear(options: CallOptions = {}): Promise<void> {
    return this.#calls.runUnbounded("clear", {}, (store) => store.clear(), options);
  }

  #open(state: SessionState, writer: SessionWriter = this.#writes): Session<Data> {
    return new Session<Data>(state, writer);
  }

  /** The grace of a rename, if it may have one. */
  #graceOf({ userId, update, authenticated = false, ...input }: RenameInput<Data>): RegenerationGrace | undefined {
    const { grace = update === undefined && !authenticated } = input;
    return grace && userId !== null ? this.#grace : undefined;
  }

  /**
   * One read for all callers of a tick. It can be joined until the microtask that was queued before it was sent: a read
   * that starts after a destroy has resolved must not be answered by one that was sent before, and whoever waits for a
   * destroy that has ended the session since is called in a later microtask.
   */
  #sharedRead(id: string, touch: boolean, client: Client | undefined): Promise<Lookup> {
    const bound = this.#binding && client;
    // A client that is checked shares with its like alone. No id has a NUL.
    const key = bound ? `${id}\0${JSON.stringify([bound.ip, bound.userAgent])}` : id;
    const reads = touch ? this.#touchingReads : this.#peekingReads;
    let read = reads.get(key);
    if (read === undefined) {
      if (reads.size === 0) void Promise.resolve(reads).then(clear);
      read = this.#find(id, touch, bound);
      reads.set(key, read);
    }
    return read;
  }

  async #find(id: string, touch: boolean, client: Client | undefined): Promise<Lookup> {
    const base = await this.#read(id);
    if (base === undefined) return this.#findSuperseded(id, client);
    // Before the touch: who is rejected keeps nothing alive.
    if (!this.#admits(base, client)) return "rejected";
    if (!touch || !this.#writes.isTouchDue(base)) return { state: base, writer: this.#writes };
    const { status, state } = await this.#writes.touch(base);
    return status === "ended" ? undefined : { state, writer: this.#writes };
  }

  async #findSuperseded(id: string, client: Client | undefined): Promise<Lookup> {
    const record = await this.#grace?.find(id, {});
    if (record === undefined) return undefined;
    const state = await this.#writes.decode(record, "get");
    return this.#admits(state, client) ? { state, writer: this.#superseded } : "rejected";
  }

  #admits(state: SessionState, client: Client | undefined): boolean {
    return this.#binding === undefined || this.#binding.admits(state, client);
  }

  async #read(id: string, options?: CallOptions): Promise<SessionState | undefined> {
    const record = await this.#calls.run("get", { id }, (store) => store.get(id), options);
    return record && (this.#writes.known(record) ?? this.#writes.decode(record, "get"));
  }

  async #recordsOf(
    userId: string,
    operation: string,
    options: CallOptions,
    corrupt: SessionError[] = [],
  ): Promise<SessionRecord[]> {
    const onCorrupt = (error: SessionError): void => {
      corrupt.push(error);
      this.#events.emit("error", { error, operation, userId });
    };
    return this.#calls.run(operation, { userId }, (store) => store.listByUser(userId, { onCorrupt }), options);
  }

  /** Leaves out a session that cannot be read, but none whose keys cannot be had for the moment: that one is there. */
  #decodeOrReport(record: SessionRecord, operation: string): Promise<SessionState | undefined> {
    return answerUnreadable("missing", this.#writes.decode(record, operation, true));
  }
}

/** A session as it was read, and what it may be written by. */
interface Found {
  readonly state: SessionState;
  readonly writer: SessionWriter;
}

/** What became of a read: a session, none, or one that is bound to another client. */
type Lookup = Found | "rejected" | undefined;

function same<T>(data: T): T {
  return data;
}

function clear(map: Map<unknown, unknown>): void {
  map.clear();
}

function ignore(): void {}
