import { authenticatedAt, type SessionMetadata, type SessionState, storeNow } from "../content/content.js";
import type { DeepReadonly } from "../content/freeze.js";
import type { SessionData } from "../content/session-data.js";
import type { CallOptions } from "../contract/call.js";
import { type Duration, durationMs } from "../contract/duration.js";
import { checkDestroy, checkSave, checkTouch, checkUpdate, withUserText } from "./input-checks.js";
import type { SaveOptions, TouchInput, UpdateFunction, Write, WriteOptions } from "./inputs.js";

/**
 * The outcome of a save:
 *
 * - `saved`;
 * - `unchanged`: there was nothing to write; the session was only touched, if that was due;
 * - `ended`: the save was dropped because the session had ended, or, under `onUnreadable: "missing"`, because another
 *   writer left it unreadable;
 * - `changedUser`: the save was dropped because the session belongs to another user by now;
 * - `superseded`: the save was dropped because the session was regenerated and, within the `regenerationGrace`, its
 *   old token only reads.
 */
export type SaveStatus = "saved" | "unchanged" | "ended" | "changedUser" | "superseded";

/** The part of a manager that a {@link Session} calls. */
export interface SessionActions {
  /** Whether the session was read by its old token after a regeneration. Writes are then dropped. */
  readonly isSuperseded: boolean;
  update(state: SessionState, change: UpdateFunction<object>, options: Write<WriteOptions>): Promise<WriteOutcome>;
  save(state: SessionState, data: object, options: Write<SaveOptions>): Promise<WriteOutcome>;
  touch(state: SessionState, options: TouchInput): Promise<WriteOutcome>;
  /** Whether `touch` would write. */
  isTouchDue(state: SessionState, options: TouchInput): boolean;
  destroy(id: string, options: CallOptions): Promise<boolean>;
}

export interface WriteOutcome {
  readonly status: SaveStatus;
  /** The session after the write; the given one where nothing was written. */
  readonly state: SessionState;
}

/**
 * A session as it was loaded, and as this handle has written it since.
 *
 * `data` is deeply frozen; only {@link update} and {@link save} change it. Times are epoch milliseconds by the store's
 * clock.
 *
 * @example
 * ```ts
 * import { SessionManager } from "@sojourn/core";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const manager = new SessionManager<{ views: number }>({ store: new MemoryStore() });
 * const { token, session } = await manager.create({ userId: "42", data: { views: 0 }, authenticated: true });
 * console.log(session.id, session.userId, session.data.views, session.remainingMs);
 * ```
 */
export class Session<Data extends object = SessionData> {
  #state: SessionState;
  readonly #actions: SessionActions;

  /** @internal Sessions come from a manager. */
  constructor(state: SessionState, actions: SessionActions) {
    this.#state = state;
    this.#actions = actions;
  }

  /** The storage id: not a credential, safe to show and to revoke by. */
  get id(): string {
    return this.#state.id;
  }
  get userId(): string | undefined {
    return this.#state.userId;
  }
  get data(): DeepReadonly<Data> {
    // The caller states the type of its payloads.
    return this.#state.content.data as DeepReadonly<Data>;
  }
  get metadata(): SessionMetadata {
    return this.#state.content.metadata;
  }
  get createdAt(): number {
    return this.#state.createdAt;
  }
  /** The last recorded activity: up to `touchAfter` older than the last read. */
  get lastActiveAt(): number {
    return this.#state.lastActiveAt;
  }
  /** When the session ends if nothing happens. */
  get expiresAt(): number {
    return this.#state.expiresAt;
  }
  /** When the session ends in any case: the absolute deadline, which a login restarts. */
  get endsAt(): number {
    return this.#state.endsAt;
  }
  /** Whether the session's cookie outlives the browser. `undefined`: the cookie's own option decides. */
  get persistent(): boolean | undefined {
    return this.#state.content.persistent;
  }
  /** Milliseconds from now until the session ends if nothing happens. Independent of this process's clock. */
  get remainingMs(): number {
    return Math.floor(this.#state.expiresAt - storeNow(this.#state));
  }
  get version(): number {
    return this.#state.version;
  }
  /**
   * Whether this session was read by its old token after a regeneration, within the `regenerationGrace`. It can then be
   * read and destroyed; writes are dropped. The response to another request carries the new token: do not send the old
   * one again.
   */
  get isSuperseded(): boolean {
    return this.#actions.isSuperseded;
  }
  /**
   * The time of the last authentication of the session's user: the `create` or `regenerate` with `authenticated: true`.
   * `undefined` when there was none, or when the session was given to another user since.
   */
  get authenticatedAt(): number | undefined {
    return authenticatedAt(this.#state);
  }

  /**
   * Whether the user has authenticated no longer than `maxAge` ago, by the store's clock. If false, ask for the
   * password again before a sensitive action. Inclusive, as `max_age` of OpenID Connect Core 1.0 §3.1.2.1 is.
   *
   * @throws SessionError `INVALID_OPTION` for a `maxAge` that is no duration
   * @example
   * ```ts continued
   * console.log(session.isFresh("5m")); // true: created with `authenticated`
   * ```
   */
  isFresh(maxAge: Duration): boolean {
    const maxAgeMs = durationMs(maxAge, "maxAge", 0);
    const { authenticatedAt } = this;
    return authenticatedAt !== undefined && storeNow(this.#state) - authenticatedAt <= maxAgeMs;
  }

  /**
   * Applies `change` and writes, if the session is unchanged since it was loaded; otherwise repeats this with the fresh
   * data. No update is lost. If `change` returns the object that it received, nothing is written.
   *
   * @returns false when the session has ended, belongs to another user than when this handle was loaded, or is
   * superseded
   * @throws SessionError `CONFLICT` after a hundred attempts, `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`,
   * `LIMIT_REACHED`, and the store's errors; the stored session is then unchanged, unless `outcomeUnknown` is true
   * @example
   * ```ts continued
   * await session.update((data) => ({ ...data, views: data.views + 1 }));
   * ```
   */
  async update(change: UpdateFunction<Data>, options: WriteOptions = {}): Promise<boolean> {
    checkUpdate(options);
    // The writer calls `change` with this session's own data.
    const apply = change as unknown as UpdateFunction<object>;
    const { status, state } = await this.#actions.update(this.#state, apply, withUserText(options));
    this.#adopt(state);
    return status === "saved" || status === "unchanged";
  }

  /**
   * Saves data that was changed outside, as frameworks do at the end of a request: a three-way merge of the data
   * loaded, the data saved, and the data stored now.
   *
   * @throws SessionError as {@link update}; `CONFLICT` at once under the policy `fail`
   * @example
   * ```ts continued
   * const draft = { ...session.data, views: 10 };
   * console.log(await session.save(draft)); // saved
   * ```
   */
  async save(data: Data | DeepReadonly<Data>, options: SaveOptions = {}): Promise<SaveStatus> {
    checkSave(options);
    const { status, state } = await this.#actions.save(this.#state, data, withUserText(options));
    this.#adopt(state);
    return status;
  }

  /**
   * Counts as activity. Writes only when the deadline moves by at least the manager's `touchAfter`.
   *
   * @returns false when the session has ended
   * @example
   * ```ts continued
   * console.log(await session.touch()); // true
   * ```
   */
  async touch(options: TouchInput = {}): Promise<boolean> {
    checkTouch(options);
    const { status, state } = await this.#actions.touch(this.#state, options);
    this.#adopt(state);
    return status !== "ended";
  }

  /** @internal Whether {@link touch} would write, for bridges that need not wait where it would not. */
  isTouchDue(options: TouchInput = {}): boolean {
    return this.#actions.isTouchDue(this.#state, options);
  }

  /**
   * Ends the session.
   *
   * @returns false when it had ended already
   * @example
   * ```ts continued
   * console.log(await session.destroy()); // true
   * ```
   */
  async destroy(options: CallOptions = {}): Promise<boolean> {
    checkDestroy(options);
    return this.#actions.destroy(this.id, options);
  }

  /**
   * Returns all but the data, for an "active sessions" page.
   *
   * @example
   * ```ts continued
   * console.log(JSON.stringify(session)); // no data, no token
   * await manager.close();
   * ```
   */
  toJSON(): SessionInfo {
    const { id, userId, createdAt, lastActiveAt, expiresAt, endsAt, authenticatedAt, metadata } = this;
    return { id, userId, createdAt, lastActiveAt, expiresAt, endsAt, authenticatedAt, metadata };
  }

  /** Keeps the state of the later version: of two concurrent calls of one handle, the earlier may end last. */
  #adopt(state: SessionState): void {
    if (state.version >= this.#state.version) this.#state = state;
  }
}

/** A session without its data. */
export interface SessionInfo {
  readonly id: string;
  readonly userId: string | undefined;
  readonly createdAt: number;
  readonly lastActiveAt: number;
  readonly expiresAt: number;
  readonly endsAt: number;
  readonly authenticatedAt: number | undefined;
  readonly metadata: SessionMetadata;
}
