import { asSessionError, isSessionError, type SessionError } from "../contract/errors.js";
import type {
  CreateResult,
  EndedSession,
  NewSession,
  ReadManyOptions,
  RenameResult,
  SessionCounts,
  SessionLimit,
  SessionRecord,
  UpdateResult,
} from "../contract/store.js";
import type { Answer, Call, Page, Read, StoreDriver, Touch, Write, WriteOutcome } from "./driver.js";

/** Runs one verb of the contract on a driver. Static, so that an operation needs no closure. */
export interface Command<Item, Raw, Result> {
  /** The method of the store, for messages. */
  readonly operation: string;
  /** Whether it may change the backend: the outcome of a read is never unknown. */
  readonly isWrite: boolean;
  run(driver: StoreDriver, item: Item, call: Call): Answer<Raw>;
  /** Turns the driver's answer into the store's. */
  toResult(raw: Raw, item: Item): Result;
}

export interface CreateItem {
  readonly session: NewSession;
  readonly limit: SessionLimit | undefined;
}
export interface DestroyByUserItem {
  readonly userId: string;
  readonly except: string | undefined;
}
export interface ListItem extends ReadManyOptions {
  readonly userId: string;
}
export interface ScanItem {
  readonly from: unknown;
  readonly size: number;
}

export const create: Command<CreateItem, CreateResult, CreateResult> = {
  operation: "create",
  isWrite: true,
  run: (driver, { session, limit }, call) => driver.create(session, limit, call),
  toResult: same,
};

export const read: Command<string, SessionRecord | undefined, SessionRecord | undefined> = {
  operation: "get",
  isWrite: false,
  run: (driver, id, call) => driver.read(id, call),
  toResult: same,
};

export const update: Command<Write, WriteOutcome, UpdateResult> = {
  operation: "update",
  isWrite: true,
  run: (driver, write, call) => driver.write(write, call),
  toResult: (outcome) => {
    if (outcome.status === "written") return { status: "updated", record: outcome.record, evicted: outcome.evicted };
    // Without a new id nothing can be a duplicate.
    return outcome.status === "duplicate" ? { status: "missing" } : outcome;
  },
};

export const rename: Command<Write, WriteOutcome, RenameResult> = {
  operation: "rename",
  isWrite: true,
  run: (driver, write, call) => driver.write(write, call),
  toResult: (outcome) =>
    outcome.status === "written" ? { status: "renamed", record: outcome.record, evicted: outcome.evicted } : outcome,
};

export const touch: Command<Touch, boolean, boolean> = {
  operation: "touch",
  isWrite: true,
  run: (driver, item, call) => driver.touch(item, call),
  toResult: same,
};

export const destroy: Command<string, EndedSession | undefined, EndedSession | undefined> = {
  operation: "destroy",
  isWrite: true,
  run: (driver, id, call) => driver.destroy(id, call),
  toResult: same,
};

export const listByUser: Command<ListItem, readonly Read[], SessionRecord[]> = {
  operation: "listByUser",
  isWrite: false,
  run: (driver, { userId }, call) => driver.listByUser(userId, call),
  toResult: recordsOf,
};

export const destroyByUser: Command<DestroyByUserItem, string[], string[]> = {
  operation: "destroyByUser",
  isWrite: true,
  run: (driver, { userId, except }, call) => driver.destroyByUser(userId, except, call),
  toResult: same,
};

export const sweep: Command<number, EndedSession[], EndedSession[]> = {
  operation: "sweep",
  isWrite: true,
  run: (driver, limit, call) => driver.sweep?.(limit, call) ?? [],
  toResult: same,
};

export const scan: Command<ScanItem, Page, Page> = {
  operation: "scan",
  isWrite: false,
  run: (driver, { from, size }, call) => driver.scan?.(from, size, call) ?? { records: [], next: undefined },
  toResult: same,
};

export const count: Command<undefined, SessionCounts, SessionCounts> = {
  operation: "count",
  isWrite: false,
  run: (driver, _, call) => driver.count?.(call) ?? { sessions: 0, sessionsWithUser: 0, users: 0 },
  toResult: same,
};

export const clear: Command<unknown, unknown, unknown> = {
  operation: "clear",
  isWrite: true,
  run: (driver, from, call) => driver.clear(from, call),
  toResult: same,
};

/** Reports each corrupt record and leaves it out. */
function recordsOf(reads: readonly Read[], { onCorrupt }: ReadManyOptions): SessionRecord[] {
  const records: SessionRecord[] = [];
  for (const item of reads) {
    if (isCorrupt(item)) onCorrupt?.(item);
    else records.push(item);
  }
  return records;
}

export function isCorrupt(item: Read): item is SessionError {
  return isSessionError(item);
}

/** Returns an error of a driver as a `SessionError`, also when its `classify` throws. */
export function classified(driver: StoreDriver, error: unknown, operation: string, sent: boolean): SessionError {
  if (isSessionError(error)) return error;
  try {
    return driver.classify(error, { operation, sent });
  } catch {
    return asSessionError(error, `${driver.name}: ${operation}: the driver failed`);
  }
}

function same<Value>(value: Value): Value {
  return value;
}
