import { authentication } from "../content/authentication.js";
import type { SessionState } from "../content/content.js";
import { ContentFormat } from "../content/content-format.js";
import type { SessionData } from "../content/session-data.js";
import { answerUnreadable, type UnreadablePolicy } from "../content/unreadable.js";
import type { CallOptions } from "../contract/call.js";
import { isSessionError, type SessionError } from "../contract/errors.js";
import type { SessionCounts } from "../contract/store.js";
import { type UserId, userIdText } from "../contract/user-id.js";
import { assertId } from "../contract/validate.js";
import { Activity } from "./activity.js";
import { Aliases } from "./aliases.js";
import { ClientBinding } from "./binding.js";
import { Contents } from "./contents.js";
import type { Detection } from "./detection.js";
import type { EventHub } from "./events.js";
import {
  checkClear,
  checkCount,
  checkCreate,
  checkDestroy,
  checkDestroyByUser,
  checkExportUser,
  checkGet,
  checkIsMoved,
  checkListByUser,
  checkLocate,
  checkRegenerate,
  checkScan,
} from "./input-checks.js";
import type {
  CreateArguments,
  CreateInput,
  DestroyByUserInput,
  GetOptions,
  RenameInput,
  UpdateFunction,
} from "./inputs.js";
import { Lifetimes } from "./lifetimes.js";
import { MovedMarks, movedMs } from "./moved-marks.js";
import type { ResolvedManagerOptions } from "./options.js";
import { requireUnreadablePolicy } from "./policies.js";
import { type Lookup, type ReadInput, SessionReader } from "./reader.js";
import { RegenerationGrace } from "./regeneration-grace.js";
import { SessionRenamer } from "./renamer.js";
import { Session, type SessionActions } from "./session.js";
import type { StatisticsCollector } from "./statistics.js";
import type { StoreCalls } from "./store-calls.js";
import { SupersededActions } from "./superseded-actions.js";
import { isToken, tokenToId } from "./tokens.js";
import { exportSessions, type UserExport } from "./user-export.js";
import { WriteReports } from "./write-reports.js";
import { SessionWriter } from "./writer.js";

/** The parts that a manager shares with its sessions. */
export interface SharedParts {
  readonly calls: StoreCalls;
  readonly events: EventHub;
  readonly detection: Detection;
  readonly statistics: StatisticsCollector;
}

/** A session as {@link SessionsById.locate} finds it. */
export interface LocatedSession {
  readonly id: string;
  readonly userId: string | undefined;
  /** Milliseconds until the session ends if nothing happens. */
  readonly remainingMs: number;
}

/**
 * Manages sessions by their storage id: all behaviour that is the same on every backend.
 *
 * `SessionManager` offers the same by token. A bridge to a framework that makes its own secrets uses this class, with
 * the hash of the secret as id. Errors, beside those named: the store's own, `ABORTED`, `TIMEOUT`, `CLOSED`, and
 * `INVALID_ARGUMENT` for a malformed id.
 */
export class SessionsById<Data extends object = SessionData, Input extends object = Data> {
  /** The idle timeout of sessions without their own, in milliseconds. */
  readonly idleMs: number;
  /** The absolute timeout of sessions without their own, in milliseconds. */
  readonly absoluteMs: number;

  readonly #onUnreadable: UnreadablePolicy;
  readonly #shared: SharedParts;
  readonly #lifetimes: Lifetimes;
  readonly #binding: ClientBinding | undefined;
  readonly #contents: Contents;
  readonly #grace: RegenerationGrace | undefined;
  readonly #moved: MovedMarks;
  readonly #reader: SessionReader;
  readonly #writer: SessionWriter;
  readonly #renamer: SessionRenamer;
  readonly #superseded: SessionActions;

  /** @internal */
  constructor(options: ResolvedManagerOptions, shared: SharedParts) {
    const { binding, codec, onUnreadable, regenerationGraceMs } = options;
    const { calls, events, detection } = shared;
    this.idleMs = options.idleMs;
    this.absoluteMs = options.absoluteMs;
    this.#onUnreadable = onUnreadable;
    this.#shared = shared;
    this.#lifetimes = new Lifetimes(options);
    this.#binding = binding && new ClientBinding(binding, detection);
    const aliases = new Aliases(regenerationGraceMs + movedMs, codec, calls);
    this.#moved = new MovedMarks(aliases);
    this.#grace = regenerationGraceMs > 0 ? new RegenerationGrace(regenerationGraceMs, aliases, calls) : undefined;
    const grace = this.#grace;
    const contents = new Contents(new ContentFormat(options), onUnreadable, events, detection);
    const activity = new Activity(options, calls, events, grace);
    const reports = new WriteReports(events, options.sessionLimit, detection, contents);
    const parts = { calls, contents, activity, reports, grace };
    this.#contents = contents;
    this.#reader = new SessionReader({ calls, contents, activity, events, grace, binding: this.#binding });
    this.#writer = new SessionWriter(parts, options.onConflict);
    this.#renamer = new SessionRenamer(parts, this.#lifetimes);
    this.#superseded = new SupersededActions(this.#writer, events);
  }

  /**
   * Creates a session under a given id.
   *
   * @returns `undefined` when a live session has this id; it is untouched
   * @throws SessionError `LIMIT_REACHED`, `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `INVALID_OPTION` for a timeout
   */
  async create(id: string, ...[given]: CreateArguments<Input>): Promise<Session<Data> | undefined> {
    assertId(id);
    // The type lets `data` be missing only where an empty object is valid.
    const input = (given === undefined ? {} : given) as Partial<CreateInput<Input>>;
    checkCreate(input);
    const { data = {}, authenticated = false, metadata = {}, client } = input;
    const userId = userIdText(input.userId);
    const { idleMs, absoluteMs, own } = this.#lifetimes.begin(input);
    const content = {
      data,
      metadata,
      ...own,
      ...(authenticated && { authenticated: authentication(userId, 0) }),
      ...(client && this.#binding && { boundTo: this.#binding.bind(client) }),
    };
    const state = await this.#writer.create({ id, userId, idleMs, absoluteMs }, content, input);
    return state && this.#open(state);
  }

  /**
   * Reads a session. Counts as activity unless `touch` is false. Within the `regenerationGrace`, the old id of a
   * regenerated session reads the current session, under its new id, and does not count as activity.
   *
   * @returns `undefined` when it is missing, has expired, or is bound to another client
   * @throws SessionError `CORRUPT`; `DECODE` unless `onUnreadable` says otherwise
   */
  get(id: string, options: GetOptions = {}): Promise<Session<Data> | undefined> {
    try {
      assertId(id);
      checkGet(options);
      const { touch = true, fresh = false, client, signal, timeoutMs, onUnreadable = this.#onUnreadable } = options;
      requireUnreadablePolicy(onUnreadable);
      const input: ReadInput = { touch, fresh, client, signal, timeoutMs };
      const state = this.#reader.peek(id, input);
      if (state === undefined) return this.#find(id, input, onUnreadable);
      this.#shared.statistics.hits++;
      return Promise.resolve(this.#open(state));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Reads the current id, user and remaining time of a session, past every copy in this process: for a holder of its id who
   * presents no token, such as an open socket. Within the `regenerationGrace`, the old id of a regenerated session finds the
   * session under its new id. A read of this kind is no activity, no hit and no miss, and the session's data is not decoded.
   *
   * @returns `undefined` when it is missing or has expired
   */
  async locate(id: string, options: CallOptions = {}): Promise<LocatedSession | undefined> {
    assertId(id);
    checkLocate(options);
    const { calls } = this.#shared;
    const record = await (this.#grace === undefined
      ? calls.get(id, { fresh: true }, options)
      : this.#grace.current(id, options));
    if (record === undefined) return undefined;
    return { id: record.id, userId: record.userId, remainingMs: record.expiresAt - record.now };
  }

  /**
   * Gives a session a new id. The user stays unless `input` changes it, and so does the absolute deadline, which a login
   * restarts. The old id is dead, or only reads for the `regenerationGrace`. Reads the session first: an unreadable
   * session keeps its id. Counts as activity.
   *
   * Of two concurrent renames of one session one wins; the other answers `undefined`.
   *
   * @returns `undefined` when the session is missing, has expired, belongs to another user by now, or is bound to
   * another client
   * @throws SessionError `LIMIT_REACHED`, `CONFLICT` when a live session has the new id or after a hundred attempts,
   * `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `INVALID_OPTION` for a timeout
   */
  async rename(id: string, newId: string, input: RenameInput<Data> = {}): Promise<Session<Data> | undefined> {
    assertId(id);
    assertId(newId, "newId");
    checkRegenerate(input);
    const { update = same, authenticated = false, client, leaveMark = false, signal, timeoutMs } = input;
    const userId = userIdText(input.userId);
    const { idleTimeout, absoluteTimeout, persistent } = input;
    const lifetimes = { idleTimeout, absoluteTimeout, persistent };
    const call = { signal, timeoutMs };
    const isGraceful = this.#grace !== undefined && wantsGrace(input);
    // Beside the read, so that the mark is there before the old id is dead, and takes no round trip of its own.
    const marking = leaveMark && !isGraceful ? this.#moved.leave(id, call) : undefined;
    const base = await answerUnreadable(this.#onUnreadable, this.#reader.read(id, call));
    await marking;
    if (base === undefined || !this.#reader.admits(base, client)) return undefined;
    const isAnnounced = isGraceful && (await this.#announce(base, newId, userId, call));
    if (isGraceful && leaveMark && !isAnnounced) await this.#moved.leave(id, call);
    const boundTo = client && this.#binding?.bind(client);
    // The caller states the type of its payloads, and `update` receives data of that type.
    const change = update as unknown as UpdateFunction<object>;
    const state = await this.#renamer.rename(base, newId, { userId, change, authenticated, lifetimes, boundTo }, call);
    return state && this.#open(state);
  }

  /**
   * Whether this id was regenerated with `leaveMark` some seconds ago. For bridges: a request that presents such an id is
   * late and must begin no session, because its cookie would replace the one of the regeneration.
   */
  async isMoved(id: string, options: CallOptions = {}): Promise<boolean> {
    assertId(id);
    checkIsMoved(options);
    return this.#moved.has(id, options);
  }

  /** Marks an id as moved, for a bridge whose framework regenerates by other calls. Never rejects. */
  async markMoved(id: string): Promise<void> {
    await this.#moved.leave(id, {});
  }

  /** Reports that a bridge has dropped the session of a late request, as a `conflict` event. */
  reportMoved(id: string): void {
    this.#shared.events.emit("conflict", { id, userId: undefined, reason: "moved" });
  }

  /**
   * Ends a session, also by its old id within the `regenerationGrace`.
   *
   * @returns false when there was no live one
   */
  async destroy(id: string, options: CallOptions = {}): Promise<boolean> {
    checkDestroy(options);
    return this.#writer.destroy(id, options);
  }

  /** Reads the live sessions of a user, oldest first. A session that cannot be read is left out and becomes an `error` event. */
  async listByUser(userId: UserId, options: CallOptions = {}): Promise<Session<Data>[]> {
    checkListByUser(options);
    const states = await this.#reader.listByUser(userIdText(userId), options);
    return states.map((state) => this.#open(state));
  }

  /**
   * Reads all stored data of the user's live sessions. Unreadable sessions are included with their known members.
   *
   * @throws SessionError when a session cannot be read at present, for example without its key service: the result
   * would be incomplete
   */
  async exportUser(userId: UserId, options: CallOptions = {}): Promise<UserExport<Data>> {
    checkExportUser(options);
    const operation = "exportUser";
    const user = userIdText(userId);
    const corrupt: SessionError[] = [];
    const records = await this.#reader.recordsOf(user, operation, options, corrupt);
    return exportSessions(
      user,
      records,
      corrupt,
      (record) => this.#contents.readOneOfMany(record, operation),
      (state) => this.#open(state),
    );
  }

  /**
   * Ends the sessions of a user ("log out everywhere"), including sessions that are being created or renamed meanwhile,
   * as the store's contract says.
   *
   * @returns the ids of the live sessions ended
   */
  async destroyByUser(userId: UserId, input: DestroyByUserInput = {}): Promise<string[]> {
    checkDestroyByUser(input);
    const { except, ...call } = input;
    // An old id within the grace stands for the caller's own session.
    const keep = except && ((await this.#grace?.current(except, call))?.id ?? except);
    return this.#writer.destroyByUser(userIdText(userId), keep, call);
  }

  /**
   * Walks all live sessions in no particular order, in bounded memory. A session that cannot be read is left out and becomes
   * an `error` event.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  async *scan(options: CallOptions = {}): AsyncGenerator<Session<Data>, void, undefined> {
    checkScan(options);
    for await (const state of this.#reader.scan(options)) yield this.#open(state);
  }

  /**
   * Counts live sessions and users. May cost the store time.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  async count(options: CallOptions = {}): Promise<SessionCounts> {
    checkCount(options);
    return this.#shared.calls.count(options);
  }

  /** Ends all sessions of the store's namespace, without an event for each. A session created meanwhile may stay. */
  async clear(options: CallOptions = {}): Promise<void> {
    checkClear(options);
    await this.#shared.calls.clear(options);
  }

  /**
   * @internal Returns the id of the session that a caller means by its secret or by its id. An id can have the form of a
   * token, so this asks for a session of such a secret first.
   */
  async idOf(secretOrId: string, call: CallOptions): Promise<string> {
    const id = tokenToId(secretOrId);
    if (!isToken(secretOrId)) return id;
    const { calls } = this.#shared;
    const found = await (this.#grace === undefined ? calls.get(id, undefined, call) : this.#grace.current(id, call));
    return found === undefined ? secretOrId : id;
  }

  async #find(id: string, input: ReadInput, onUnreadable: UnreadablePolicy): Promise<Session<Data> | undefined> {
    const { detection, statistics } = this.#shared;
    const found = await this.#lookUp(id, input, onUnreadable);
    if (found !== undefined && found !== "rejected") {
      statistics.hits++;
      return this.#open(found.state, found.isSuperseded ? this.#superseded : this.#writer);
    }
    statistics.misses++;
    const source = input.client?.ip;
    if (found === undefined) detection.report("unknownTokens", source, { source });
    return undefined;
  }

  async #lookUp(id: string, input: ReadInput, onUnreadable: UnreadablePolicy): Promise<Lookup> {
    try {
      return await this.#reader.find(id, input);
    } catch (error) {
      if (onUnreadable === "missing" && isSessionError(error, "DECODE")) return undefined;
      throw error;
    }
  }

  /**
   * Lets the old id go on reading for the grace.
   *
   * @returns false when this session may have none
   */
  async #announce(
    { id, userId: owner, content }: SessionState,
    newId: string,
    userId: string | null | undefined,
    call: CallOptions,
  ): Promise<boolean> {
    if (this.#grace === undefined || owner === undefined) return false;
    // A session that gained its user in place has no grace: its token may have been planted before the login.
    if (content.gainedUserAs === id || (userId ?? owner) !== owner || userId === null) return false;
    await this.#grace.announce(id, newId, owner, call);
    return true;
  }

  #open(state: SessionState, actions: SessionActions = this.#writer): Session<Data> {
    return new Session<Data>(state, actions);
  }
}

function wantsGrace<Data extends object>({ update, authenticated = false, grace }: RenameInput<Data>): boolean {
  return grace ?? (update === undefined && !authenticated);
}

function same<T>(data: T): T {
  return data;
}
