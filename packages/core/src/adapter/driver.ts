import type { SessionError } from "../contract/errors.js";
import type {
  CreateResult,
  EndedSession,
  NewSession,
  SessionCounts,
  SessionLimit,
  SessionRecord,
  StoreCapabilities,
} from "../contract/store.js";

/**
 * A value, or a promise of one. A driver in this process returns the value itself and costs no promise, timer or turn.
 */
export type Answer<Value> = Value | Promise<Value>;

/** A record, or the `CORRUPT` error of a record that cannot be read. As a value it does not fail its neighbours. */
export type Read = SessionRecord | SessionError;

/** The driver's view of one operation: its deadline, and whether its command was sent. */
export interface Call {
  /** The method of the store, for messages. */
  readonly operation: string;
  /** The moment of `performance.now()` at which the caller gets an error. */
  readonly deadline: number;
  /**
   * Whether a command may have reached the backend. It begins as `true`. A driver that waits for a connection or a free slot
   * sets it to `false` first and to `true` right before it sends: the caller then learns that nothing was sent.
   */
  sent: boolean;
  /**
   * Why nothing could be sent so far, such as the last error of a connection. It becomes the `cause` of the error that the
   * caller gets at the deadline, if nothing was sent by then.
   */
  reason: unknown;
  /** Whether the operation has ended. Check it after every wait: a driver must not send anything any more. */
  readonly over: boolean;
  /** Called once when the operation ends before the driver has answered. The driver lets go of its connection. */
  onOver: (() => void) | undefined;
  /** Aborted when the operation ends before the driver has answered. Made at its first use. */
  readonly signal: AbortSignal;
}

/** The commands that one request carries. */
export interface Batch<Item> {
  /**
   * Returns the commands that are still wanted, and marks them as sent. Call it right before sending, once: commands that
   * ended during the wait for a connection are not among them. An empty answer: send nothing.
   */
  take(): readonly Item[];
}

/** How many commands travel together. */
export interface BatchLimits {
  /** The most commands of one request. */
  readonly max: number;
  /** The most requests under way; later commands wait and travel together. */
  readonly inFlight: number;
}

/** A change of a stored session: `update`, or `rename` where `newId` is set. Absent members change nothing. */
export interface Write {
  readonly id: string;
  readonly newId: string | undefined;
  readonly payload: string | undefined;
  /** `null` makes the session anonymous. */
  readonly userId: string | null | undefined;
  /** Restarts the idle deadline. */
  readonly idleMs: number | undefined;
  /** Restarts the absolute deadline; only with `newId`. `expiresAt` is capped by it again. */
  readonly absoluteMs: number | undefined;
  readonly expectedVersion: number | undefined;
  /** Set only where the write gives the session to a user. */
  readonly limit: SessionLimit | undefined;
}

export type WriteOutcome =
  /** `evicted`: the ids of the user's sessions that made room, oldest first. */
  | { readonly status: "written"; readonly record: SessionRecord; readonly evicted: readonly string[] }
  | { readonly status: "conflict"; readonly current: SessionRecord }
  | { readonly status: "missing" }
  /** A live session has `newId`. */
  | { readonly status: "duplicate" }
  | { readonly status: "limitReached" };

export interface Touch {
  readonly id: string;
  readonly idleMs: number;
  readonly shorten: boolean;
}

/** One step of a walk. */
export interface Page {
  readonly records: readonly Read[];
  /** Where the next step begins; `undefined` after the last. */
  readonly next: unknown;
}

/** An error of a driver's library, in its circumstances. */
export interface ErrorContext {
  readonly operation: string;
  /** Whether a command may have reached the backend. */
  readonly sent: boolean;
}

/**
 * The part of a store that differs between backends. {@link DriverStore} puts the guard in front of it, so a driver
 * checks no arguments, keeps no queue, sets no timer and never sees a closed store.
 *
 * Each method has the semantics of `SessionStore`. A method throws or rejects its library's errors;
 * {@link StoreDriver.classify} turns them into a `SessionError`.
 */
export interface StoreDriver {
  /** The name of the package, for messages. */
  readonly name: string;
  readonly capabilities: StoreCapabilities;
  /** How long an operation may take, in milliseconds. Default 2000. */
  readonly timeoutMs?: number | undefined;
  /** Whether sessions are held in this process: no deadline, no order per id, no batches. Default false. */
  readonly isLocal?: boolean | undefined;
  /** How many reads, and how many writes or touches, travel together. Without `readMany` or `writeMany` they go alone. */
  readonly batches?: { readonly reads?: BatchLimits; readonly writes?: BatchLimits } | undefined;

  /** @param limit - set only for a session with a user */
  create(session: NewSession, limit: SessionLimit | undefined, call: Call): Answer<CreateResult>;
  /** Throws a `CORRUPT` error for a record that cannot be read. */
  read(id: string, call: Call): Answer<SessionRecord | undefined>;
  /** Reads several sessions in one request. Answers those found, by id. */
  readMany?(batch: Batch<string>, call: Call): Promise<ReadonlyMap<string, Read>>;
  write(write: Write, call: Call): Answer<WriteOutcome>;
  /** Whether a write may travel with others. Default: every write without `newId` and `userId`. */
  canBatch?(write: Write): boolean;
  /**
   * Writes to several sessions in one request that waits for no lock. Answers the writes made, by id: each other one is
   * sent again alone, by {@link StoreDriver.write}.
   */
  writeMany?(batch: Batch<Write>, call: Call): Promise<ReadonlyMap<string, WriteOutcome>>;
  /** Returns false when the session is missing. */
  touch(touch: Touch, call: Call): Answer<boolean>;
  /** As {@link StoreDriver.writeMany}, for touches. */
  touchMany?(batch: Batch<Touch>, call: Call): Promise<ReadonlyMap<string, boolean>>;
  destroy(id: string, call: Call): Answer<EndedSession | undefined>;
  /** Sorted by `createdAt`, then by id. */
  listByUser(userId: string, call: Call): Answer<readonly Read[]>;
  destroyByUser(userId: string, except: string | undefined, call: Call): Answer<string[]>;
  /** Absent where the backend expires by itself. */
  sweep?(limit: number, call: Call): Answer<EndedSession[]>;
  /** Absent where `capabilities.scan` is false. One step; `from` is `undefined` at the first, then `next` of the step before. */
  scan?(from: unknown, size: number, call: Call): Answer<Page>;
  /** Absent where `capabilities.count` is false. */
  count?(call: Call): Answer<SessionCounts>;
  /** One step of `clear`. Returns where the next one begins, or `undefined` after the last. */
  clear(from: unknown, call: Call): Answer<unknown>;
  /** Closes the connection that the driver opened, and no other. Called once. */
  close(): Answer<void>;
  /** Turns an error of the driver's library into a `SessionError`. Pure. Not called for a `SessionError`. */
  classify(error: unknown, context: ErrorContext): SessionError;
  /** See `SessionStore.peek`. */
  peek?(id: string): SessionRecord | undefined;
  /** See `SessionStore.onEvicted`. */
  onEvicted?(listener: (session: EndedSession) => void): () => void;
}
