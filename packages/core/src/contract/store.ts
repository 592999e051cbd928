/**
 * The contract between Sojourn and a backend.
 *
 * A store keeps opaque payloads under opaque ids, atomically, and ends them on time. It knows nothing of tokens,
 * cookies, codecs or events. Deadlines travel as durations and the store adds them to its own clock, so that a wrong
 * clock in an application node neither ends a session nor prolongs it. The promises are numbered in `docs/contract.md`;
 * the cases of `@sojourn/testkit` test them on each store.
 */

import type { StoreCallOptions } from "./call.js";
import type { SessionError } from "./errors.js";

/** A live session as stored. Every time is epoch milliseconds by the store's clock: compare them with each other only. */
export interface SessionRecord {
  /** The storage id: 1 to 512 bytes of UTF-8, compared byte for byte. */
  readonly id: string;
  /** The user that the session belongs to, or `undefined` while it is anonymous. */
  readonly userId: string | undefined;
  /** The encoded session, opaque to the store, returned byte for byte. */
  readonly payload: string;
  /** 1 at creation, plus 1 for each write of payload or user. `touch` and a `rename` without a change leave it. */
  readonly version: number;
  readonly createdAt: number;
  /** When the session was last created, updated with `idleMs`, renamed with `idleMs`, or touched. */
  readonly lastActiveAt: number;
  /** When the session ends if nothing happens: never later than `endsAt`. */
  readonly expiresAt: number;
  /** When the session ends in any case: the absolute deadline. Set at creation; only a `rename` with `absoluteMs` moves it. */
  readonly endsAt: number;
  /** The store's clock when it answered. */
  readonly now: number;
}

/** A session to be created. */
export interface NewSession {
  /** 1 to 512 bytes of well-formed UTF-8 without NUL. */
  readonly id: string;
  /** 1 to 512 bytes of well-formed UTF-8 without NUL. Omit for an anonymous session. */
  readonly userId?: string | undefined;
  /** Any well-formed string, the empty one included. */
  readonly payload: string;
  /** Milliseconds from now until the session ends unused: a positive integer. Capped by `absoluteMs`. */
  readonly idleMs: number;
  /** Milliseconds from now until the session ends in any case: a positive integer. */
  readonly absoluteMs: number;
  /**
   * How old the session already is, in milliseconds: `createdAt` becomes the store's clock less this. For a session taken
   * over from elsewhere, which keeps its place in lists and in `evictOldest`. It shortens neither `idleMs` nor `absoluteMs`.
   * An integer from 0 to a hundred years. Default 0.
   */
  readonly ageMs?: number | undefined;
  /**
   * How long the session has been unused, in milliseconds: `lastActiveAt` becomes the store's clock less this. It does not
   * shorten `idleMs`. An integer from 0 to `ageMs`. Default 0.
   */
  readonly inactiveMs?: number | undefined;
  /** The version to begin with: an integer from 1 to 1,000,000,000. Default 1. */
  readonly version?: number | undefined;
}

/** A write to a stored session. An empty change writes nothing and answers as a write does. */
export interface SessionChange {
  /** The new payload; omitted, the stored one stays. */
  readonly payload?: string;
  /** The new user. Omitted, the stored one stays; `null` makes the session anonymous (as in JSON Merge Patch, RFC 7396). */
  readonly userId?: string | null;
  /**
   * Counts as activity: the session now ends `idleMs` from now, capped by `endsAt`, also when that is earlier than before.
   * Omitted, the deadline stays.
   */
  readonly idleMs?: number;
}

/** A write to a stored session that also gives it a new id. */
export interface SessionRename extends SessionChange {
  /**
   * A new absolute deadline, this many milliseconds from now: a positive integer. `expiresAt` is capped by it again, also
   * when `idleMs` is omitted. Omitted, the absolute deadline stays.
   */
  readonly absoluteMs?: number;
}

/** The largest number of sessions of one user, checked inside the atomic step by which the user gains a session. */
export interface SessionLimit {
  /** A positive integer. */
  readonly max: number;
  /**
   * `reject` refuses the new session; `evictOldest` ends the oldest other sessions by `createdAt`, never the new one.
   */
  readonly whenReached: "reject" | "evictOldest";
}

export interface ReadOptions {
  /** Asks the backend, past every copy in this process. Default false: a decorator may answer from a copy. */
  readonly fresh?: boolean | undefined;
}

export interface CreateOptions {
  /** Omit for no limit. Ignored for an anonymous session. */
  readonly limit?: SessionLimit | undefined;
}

export interface UpdateOptions {
  /** Writes only if the stored version equals this one. Omit to write under any version. */
  readonly expectedVersion?: number | undefined;
  /** Applies when the change moves the session to a user who does not have it yet. Omit for no limit. */
  readonly limit?: SessionLimit | undefined;
}

export interface RenameOptions extends UpdateOptions {}

export interface TouchOptions {
  /** Milliseconds from now until the session ends unused: a positive integer. Capped by `endsAt`. */
  readonly idleMs: number;
  /** Allows the deadline to move nearer. Default: it only moves away, also under a concurrent longer touch. */
  readonly shorten?: boolean | undefined;
}

export interface DestroyByUserOptions {
  /** The id of one session to keep. */
  readonly except?: string | undefined;
}

export interface ReadManyOptions {
  /**
   * Called for each record that cannot be read (`CORRUPT`). The record is left out and left as it is, and the reading
   * goes on.
   */
  readonly onCorrupt?: ((error: SessionError) => void) | undefined;
}

export interface ScanOptions extends ReadManyOptions {
  /** How many records are held in memory at a time: a positive integer. Default 500. */
  readonly batchSize?: number | undefined;
}

export interface SweepOptions {
  /** The largest number of sessions that this call removes: a positive integer. */
  readonly limit: number;
}

/** A session that has ended, as an audit log needs it. */
export interface EndedSession {
  readonly id: string;
  readonly userId: string | undefined;
}

export type CreateResult =
  /** `evicted`: the ids of the user's sessions that made room, oldest first. */
  | { readonly status: "created"; readonly record: SessionRecord; readonly evicted: readonly string[] }
  /** A live session has this id; it is untouched. */
  | { readonly status: "duplicate" }
  | { readonly status: "limitReached" };

export type UpdateResult =
  /** `record` is the session as this write left it. */
  | { readonly status: "updated"; readonly record: SessionRecord; readonly evicted: readonly string[] }
  /** `current` was read after the write that won. */
  | { readonly status: "conflict"; readonly current: SessionRecord }
  | { readonly status: "missing" }
  | { readonly status: "limitReached" };

export type RenameResult =
  | { readonly status: "renamed"; readonly record: SessionRecord; readonly evicted: readonly string[] }
  | { readonly status: "conflict"; readonly current: SessionRecord }
  | { readonly status: "missing" }
  /** A live session has the new id, or the new id is the old one; both are untouched. */
  | { readonly status: "duplicate" }
  | { readonly status: "limitReached" };

export interface SessionCounts {
  /** Live sessions. */
  readonly sessions: number;
  /** Live sessions that have a user. */
  readonly sessionsWithUser: number;
  /** Distinct users who have a live session. */
  readonly users: number;
}

/** The abilities of a backend, as data. The conformance kit derives the mandatory cases from them. */
export interface StoreCapabilities {
  /** A session ends not before its deadline, and at most twice this many milliseconds after it. */
  readonly expiryPrecisionMs: number;
  /** `native`: the backend removes expired sessions. `sweep`: the application or its manager calls {@link SessionStore.sweep}. */
  readonly expiry: "native" | "sweep";
  /** The clock that judges deadlines: `server`, the backend's; `process`, the one of this process. */
  readonly clock: "server" | "process";
  /** False: `scan` rejects `NOT_SUPPORTED`. */
  readonly scan: boolean;
  /** False: `count` rejects `NOT_SUPPORTED`. */
  readonly count: boolean;
  /** `atomic`: record and index change in one step. `eventual`: lists verify records, and a crash in between is healed. */
  readonly userIndex: "atomic" | "eventual";
  /** `atomic`: never more than the limit alive. `settled`: never more once all calls have settled. */
  readonly limit: "atomic" | "settled";
  /** `enumerate`: `clear` removes each record. `generation`: it makes them unreachable and they expire by themselves. */
  readonly clear: "enumerate" | "generation";
  /** The largest payload in bytes of UTF-8; a larger one is `PAYLOAD_TOO_LARGE` before anything is sent. */
  readonly maxPayloadBytes: number;
  /**
   * Whether the store tells a `SessionBus` of each session that it ends or changes. Absent or false: `announceWrites` does so
   * in its place, after the write.
   */
  readonly announces?: boolean | undefined;
}

/**
 * The contract of a session store.
 *
 * Every method takes {@link StoreCallOptions} as its last argument: one deadline for the whole operation, by default the
 * store's own timeout. Errors of every method that talks to a backend:
 *
 * - `UNAVAILABLE` when the backend cannot be reached, or nothing was sent before the deadline;
 * - `TIMEOUT` when a command was sent and not answered before the deadline. Of a write, `outcomeUnknown` is then true;
 * - `BACKEND`, `ABORTED`, `CLOSED`, and `INVALID_ARGUMENT` before anything is sent.
 *
 * An expired session is missing in every method, before any sweep has removed it.
 */
export interface SessionStore {
  readonly capabilities: StoreCapabilities;

  /**
   * Creates a session, together with its place in the user index and the session limit, in one step.
   *
   * No other method creates. A lifetime that passes on the way to the backend answers `created`, stores nothing and
   * evicts no session. The id of an expired session is free.
   *
   * @throws SessionError `PAYLOAD_TOO_LARGE`
   */
  create(session: NewSession, options?: CreateOptions, call?: StoreCallOptions): Promise<CreateResult>;

  /**
   * Reads a live session.
   *
   * @returns the record, or `undefined` when it is missing or expired
   * @throws SessionError `CORRUPT` when the record cannot be read; it is left as it is
   */
  get(id: string, options?: ReadOptions, call?: StoreCallOptions): Promise<SessionRecord | undefined>;

  /**
   * Returns a live session that this process holds, at once and without a request. Absent where a store holds no
   * sessions in the process.
   *
   * @returns `undefined` for "not known here": the session may still exist
   */
  peek?(id: string): SessionRecord | undefined;

  /**
   * Writes to a live session.
   *
   * One atomic step: it never creates, so a session destroyed meanwhile stays destroyed; expiry is judged after any wait
   * for a lock. Of two updates that expect one version exactly one is `updated`. A touch in between is no conflict.
   * `limitReached` changes nothing.
   *
   * @throws SessionError `PAYLOAD_TOO_LARGE`
   */
  update(id: string, change: SessionChange, options?: UpdateOptions, call?: StoreCallOptions): Promise<UpdateResult>;

  /**
   * Moves the idle deadline of a live session, wherever the backend keeps it, and nothing else.
   *
   * @returns false when the session is missing or expired
   */
  touch(id: string, options: TouchOptions, call?: StoreCallOptions): Promise<boolean>;

  /**
   * Gives a live session a new id, optionally with a change of payload, user and deadlines in the same step.
   *
   * The new id is readable before the old one is gone; afterwards the old id is dead. While it runs, `get` still reads the
   * old id, `update` and `touch` of it may already answer missing. Of two renames of one session one wins, the other
   * answers `missing`. `createdAt` stays, and so does `endsAt` without `absoluteMs`.
   *
   * @throws SessionError `PAYLOAD_TOO_LARGE`
   */
  rename(
    id: string,
    newId: string,
    change?: SessionRename,
    options?: RenameOptions,
    call?: StoreCallOptions,
  ): Promise<RenameResult>;

  /**
   * Ends a session.
   *
   * @returns the session that this call ended, or `undefined` when there was no live one
   */
  destroy(id: string, call?: StoreCallOptions): Promise<EndedSession | undefined>;

  /** Reads the live sessions of a user, oldest first by `createdAt`, then by id. */
  listByUser(userId: string, options?: ReadManyOptions, call?: StoreCallOptions): Promise<SessionRecord[]>;

  /**
   * Ends the sessions of a user ("log out everywhere").
   *
   * Ends every session that existed when the call began, also when a concurrent rename gives it another id. A session
   * created meanwhile is ended too (its `create` may still answer `created`), or is listed afterwards.
   *
   * @returns the ids of the live sessions ended
   */
  destroyByUser(userId: string, options?: DestroyByUserOptions, call?: StoreCallOptions): Promise<string[]>;

  /**
   * Removes expired sessions that the backend does not remove by itself.
   *
   * @returns the sessions removed, at most `limit`; exactly `limit` means that there may be more. Always empty where
   * the backend expires by itself
   */
  sweep(options: SweepOptions, call?: StoreCallOptions): Promise<EndedSession[]>;

  /**
   * Walks all live sessions of this namespace, in no particular order, in bounded memory.
   *
   * A session that keeps its id during the walk is seen, and may be seen twice where the backend's cursor repeats it. A
   * session that is renamed meanwhile may be missed, or seen under both ids.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  scan(options?: ScanOptions, call?: StoreCallOptions): AsyncIterable<SessionRecord>;

  /**
   * Counts live sessions and users of this namespace. May cost time in proportion to their number: not for each request.
   * Leaves out records whose id begins with `alias:`. A manager keeps them, and they are no sessions.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  count(call?: StoreCallOptions): Promise<SessionCounts>;

  /** Ends all sessions of this namespace only, in bounded batches. Not atomic: a session created meanwhile may stay. */
  clear(call?: StoreCallOptions): Promise<void>;

  /**
   * Calls `listener` for each live session that the store itself ended for lack of room. Absent where a store never
   * does so, or cannot tell.
   *
   * @returns a function that ends the subscription
   */
  onEvicted?(listener: (session: EndedSession) => void): () => void;

  /** Ends timers, and each connection that the store opened. Idempotent; every other method then rejects `CLOSED`. */
  close(): Promise<void>;
}
