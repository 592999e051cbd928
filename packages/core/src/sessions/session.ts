import { authenticatedAt, type SessionMetadata, type SessionState, storeNow } from "../content/content.js";
import type { DeepReadonly } from "../content/freeze.js";
import type { SessionData } from "../content/session-data.js";
import type { CallOptions } from "../contract/call.js";
import { type Duration, durationMs } from "../contract/duration.js";
import type { ConflictPolicy } from "./policies.js";

/** Makes the new data of a session from the current one. May be called again when another writer was faster. */
export type UpdateFunction<Data extends object> = (
  data: DeepReadonly<Data>,
) => DeepReadonly<Data> | Promise<DeepReadonly<Data>>;

export interface WriteOptions extends CallOptions {
  /** The new user; `null` makes the session anonymous. Default: the user stays. Prefer `regenerate` for a login. */
  readonly userId?: string | null | undefined;
  /** Milliseconds from now until the session ends unused; may bring the deadline nearer. Default: the session's idle timeout. */
  readonly idleMs?: number | undefined;
}

export interface SaveOptions extends WriteOptions {
  /**
   * What the changes in `data` are told by. Default: this handle's own data. A caller whose `data` lives on after a save,
   * as a framework's session object does, passes what it saved last: the handle has also what others wrote meanwhile.
   */
  readonly base?: object | undefined;
  /** Allows `idleMs` to bring the deadline nearer than what is stored by then. Default true. */
  readonly shorten?: boolean | undefined;
  /** Default: the manager's `onConflict`. */
  readonly onConflict?: ConflictPolicy | undefined;
}

/**
 * What became of a save: `saved`; `unchanged` when there was nothing to write, so the session was only touched if that was due; `ended`
 * or `changedUser` when it was dropped because the session was over, or belonged to another user by then. One that somebody
 * else has left unreadable is over as well, under `onUnreadable: "missing"`. `superseded` when the session has been
 * regenerated and, within the `regenerationGrace`, is only read by the token that it had before.
 */
export type SaveStatus = "saved" | "unchanged" | "ended" | "changedUser" | "superseded";

export interface TouchInput extends CallOptions {
  /** Milliseconds from now until the session ends unused. Default: the session's own idle timeout. */
  readonly idleMs?: number | undefined;
  /** Allows the deadline to move nearer. Default false. */
  readonly shorten?: boolean | undefined;
}

/** The part of a manager that a {@link Session} calls. */
export interface SessionActions {
  /** Whether it writes nothing, because the session was read by the token that it had before its regeneration. */
  readonly isSuperseded: boolean;
  update(state: SessionState, change: UpdateFunction<object>, options: WriteOptions): Promise<WriteOutcome>;
  save(state: SessionState, data: object, options: SaveOptions): Promise<WriteOutcome>;
  touch(state: SessionState, options: TouchInput): Promise<WriteOutcome>;
  /** Whether `touch` would write. */
  isTouchDue(state: SessionState, options: TouchInput): boolean;
  destroy(id: string, options: CallOptions): Promise<boolean>;
}

export interface WriteOutcome {
  readonly status: SaveStatus;
  /** The session as the write left it; the one given where nothing was written. */
  readonly state: SessionState;
}

/**
 * A session as it was loaded, and as this handle has written it since.
 *
 * `data` is deeply frozen; it changes only through {@link update} and {@link save}. Times are epoch milliseconds by the
 * store's clock.
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
    // The type parameter is the caller's word for what its payloads hold.
    return this.#state.content.data as DeepReadonly<Data>;
  }
  get metadata(): SessionMetadata {
    return this.#state.content.metadata;
  }
  get createdAt(): number {
    return this.#state.createdAt;
  }
  /** The last activity that was written down: up to `touchAfter` older than the last read. */
  get lastActiveAt(): number {
    return this.#state.lastActiveAt;
  }
  /** When the session ends if nothing happens. */
  get expiresAt(): number {
    return this.#state.expiresAt;
  }
  /** When the session ends in any case. */
  get endsAt(): number {
    return this.#state.endsAt;
  }
  /** Milliseconds until the session ends if nothing happens, at this moment; independent of this process's clock. */
  get remainingMs(): number {
    return Math.floor(this.#state.expiresAt - storeNow(this.#state));
  }
  get version(): number {
    return this.#state.version;
  }
  /**
   * Whether this session was read by the token that it had before its regeneration, within the `regenerationGrace`. It can
   * then be read and destroyed; writes are dropped. The client gets its new token from the answer to another request: do
   * not send it the old one again.
   */
  get isSuperseded(): boolean {
    return this.#actions.isSuperseded;
  }
  /**
   * When the session's user has last proven who they are: the `create` or `regenerate` with `authenticated: true`.
   * `undefined` when none was, or when the session has been given to another user since.
   */
  get authenticatedAt(): number | undefined {
    return authenticatedAt(this.#state);
  }

  /**
   * Whether the user has proven who they are no longer than `maxAge` ago, by the store's clock: ask for the password again
   * where not, before what is worth it. OpenID Connect Core 1.0 §3.1.2.1 (`max_age`) draws the line likewise.
   *
   * @throws SessionError `INVALID_OPTION` for a `maxAge` that is no duration
   */
  isFresh(maxAge: Duration): boolean {
    const maxAgeMs = durationMs(maxAge, "maxAge", 0);
    const { authenticatedAt } = this;
    return authenticatedAt !== undefined && storeNow(this.#state) - authenticatedAt <= maxAgeMs;
  }

  /**
   * Reads, applies `change`, and writes if nobody else has written meanwhile; otherwise again with the fresh data. No
   * update is lost. Returning the very object received writes nothing.
   *
   * @returns false when the session has ended, belongs to another user than when this handle was loaded, or is superseded
   * @throws SessionError `CONFLICT` after a hundred attempts, `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `LIMIT_REACHED`, and what
   * the store throws; the stored session is then unchanged, unless the error's `outcomeUnknown` says otherwise
   */
  async update(change: UpdateFunction<Data>, options: WriteOptions = {}): Promise<boolean> {
    // The writer hands `change` this session's own data.
    const { status, state } = await this.#actions.update(this.#state, change as UpdateFunction<object>, options);
    this.#adopt(state);
    return status === "saved" || status === "unchanged";
  }

  /**
   * Saves data that was changed outside, as frameworks do at the end of a request: by three-way merge of what this handle
   * loaded, what `data` holds, and what is stored now.
   *
   * @throws SessionError as {@link update}; `CONFLICT` at once under the policy `fail`
   */
  async save(data: Data | DeepReadonly<Data>, options: SaveOptions = {}): Promise<SaveStatus> {
    const { status, state } = await this.#actions.save(this.#state, data, options);
    this.#adopt(state);
    return status;
  }

  /**
   * Counts as activity. Written only when it moves the deadline by at least the manager's `touchAfter`.
   *
   * @returns false when the session has ended
   */
  async touch(options: TouchInput = {}): Promise<boolean> {
    const { status, state } = await this.#actions.touch(this.#state, options);
    this.#adopt(state);
    return status !== "ended";
  }

  /** @internal Whether {@link touch} would write, for bridges that need not wait where it would not. */
  isTouchDue(options: TouchInput = {}): boolean {
    return this.#actions.isTouchDue(this.#state, options);
  }

  /** Ends the session. @returns false when it had ended already */
  destroy(options: CallOptions = {}): Promise<boolean> {
    return this.#actions.destroy(this.id, options);
  }

  /** What an "active sessions" page may show: everything but the data. */
  toJSON(): SessionInfo {
    const { id, userId, createdAt, lastActiveAt, expiresAt, endsAt, authenticatedAt, metadata } = this;
    return { id, userId, createdAt, lastActiveAt, expiresAt, endsAt, authenticatedAt, metadata };
  }

  /** Two calls of one handle may end in the other order: the one that began on older data takes nothing back. */
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
