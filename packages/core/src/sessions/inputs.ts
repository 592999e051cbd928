import type { SessionMetadata } from "../content/content.js";
import type { DeepReadonly } from "../content/freeze.js";
import type { UnreadablePolicy } from "../content/unreadable.js";
import type { CallOptions } from "../contract/call.js";
import type { UserId } from "../contract/user-id.js";
import type { Client, ClientOptions } from "./client.js";
import type { LifetimeInput } from "./lifetimes.js";
import type { ConflictPolicy } from "./policies.js";

/** The lifetimes ("remember me") of a new session are by default those of the manager. */
export interface CreateInput<Data extends object> extends CallOptions, LifetimeInput {
  /** The client to bind the session to, where `binding` is set. Default: none. */
  readonly client?: Client | undefined;
  /** An object of JSON values. */
  readonly data: Data;
  /** Omit for an anonymous session. */
  readonly userId?: UserId | undefined;
  /** Whether the user has just authenticated, for `session.isFresh`. Needs a user. Default false. */
  readonly authenticated?: boolean | undefined;
  /** Notes for "active sessions" pages. Default `{}`. */
  readonly metadata?: SessionMetadata | undefined;
}

/** The arguments of `create`: none are needed where an empty object is valid data. */
export type CreateArguments<Data extends object> =
  Record<never, never> extends Data
    ? [input?: Omit<CreateInput<Data>, "data"> & { readonly data?: Data | undefined }]
    : [input: CreateInput<Data>];

export interface GetOptions extends CallOptions, ClientOptions {
  /** False reads without counting as activity. Default true. */
  readonly touch?: boolean | undefined;
  /** Asks the store past every copy in this process, for an answer that must not be stale. Default false. */
  readonly fresh?: boolean | undefined;
  /** The answer for a session that cannot be read. Default: the manager's `onUnreadable`. */
  readonly onUnreadable?: UnreadablePolicy | undefined;
}

/**
 * A login restarts the absolute deadline: gaining a user, or `authenticated` anew. So does an `absoluteTimeout`. The
 * session's own lifetimes ("remember me") stay by default; if the session passes from one user to another, or becomes
 * anonymous, they are by default those of the manager.
 */
export interface RenameInput<Data extends object> extends CallOptions, LifetimeInput {
  /** The client that presents the session. Where `binding` is set, it is checked and bound anew. Default: the binding stays. */
  readonly client?: Client | undefined;
  /** The new user; `null` makes the session anonymous. Default: the user stays. */
  readonly userId?: UserId | null | undefined;
  /** Changes the data in the same step. May be called again when another writer was faster. */
  readonly update?: UpdateFunction<Data> | undefined;
  /**
   * Whether the old token goes on reading the session, in its new state, for the manager's `regenerationGrace`.
   * Default: true, but false with an `update` or `authenticated`, which may change privileges. There is never a grace
   * for an anonymous session, when the user changes, or for the token under which `update` or `save` has set the user:
   * an attacker who planted that token would read the session of the logged-in victim.
   */
  readonly grace?: boolean | undefined;
  /**
   * Whether the old id is known as moved for some seconds: see `byId.isMoved`. For bridges. The mark is written while the
   * session is read. Default false.
   */
  readonly leaveMark?: boolean | undefined;
  /**
   * Whether the session's user has just authenticated, for `session.isFresh`. Needs a user. Default: an earlier
   * authentication stays valid, unless the user changes.
   */
  readonly authenticated?: boolean | undefined;
}

/** Returns the new data of a session from the current data. May be called again when another writer was faster. */
export type UpdateFunction<Data extends object> = (
  data: DeepReadonly<Data>,
) => DeepReadonly<Data> | Promise<DeepReadonly<Data>>;

export interface WriteOptions extends CallOptions {
  /** The new user; `null` makes the session anonymous. Default: the user stays. Use `regenerate` for a login. */
  readonly userId?: UserId | null | undefined;
  /**
   * Milliseconds from now until the session ends unused; may bring the deadline nearer. If it is longer than the session's
   * idle timeout, it becomes the session's own. Default: the session's idle timeout.
   */
  readonly idleMs?: number | undefined;
}

export interface SaveOptions extends WriteOptions {
  /**
   * The baseline for the merge. Default: this handle's data. A framework whose session object lives on after a save
   * passes the data that it saved last, because the handle then also holds the changes of other writers.
   */
  readonly base?: object | undefined;
  /** Allows `idleMs` to move the deadline nearer than the stored one. Default true. */
  readonly shorten?: boolean | undefined;
  /** The conflict policy. Default: the manager's `onConflict`. */
  readonly onConflict?: ConflictPolicy | undefined;
}

export interface TouchInput extends CallOptions {
  /**
   * Milliseconds from now until the session ends unused. The next read counts by the session's own idle timeout again.
   * Default: that timeout.
   */
  readonly idleMs?: number | undefined;
  /** Allows the deadline to move nearer. Default false. */
  readonly shorten?: boolean | undefined;
}

/** A write whose user is text. */
export type Write<Options extends WriteOptions> = Omit<Options, "userId"> & {
  readonly userId?: string | null | undefined;
};

export interface DestroyByUserInput extends CallOptions {
  /**
   * One session to keep, usually the caller's own: its token or its id for `SessionManager`, its id for `SessionsById`.
   * Default: all end.
   */
  readonly except?: string | undefined;
}
