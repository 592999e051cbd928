import type {
  Call,
  CreateResult,
  EndedSession,
  NewSession,
  SessionLimit,
  SessionRecord,
  Touch,
  Write,
  WriteOutcome,
} from "@sojourn/core/adapter";
import type { Row } from "./record.js";

/** One batch of a sweep. */
export interface SweptBatch {
  readonly removed: readonly EndedSession[];
  /** How many rows were due and not locked. Fewer than the limit: nothing is left to do. */
  readonly handled: number;
}

/** One batch of a walk that removes everything. */
export interface ClearedBatch {
  readonly removed: number;
  /** The last key of the walk: sessions created later stay. */
  readonly upTo: number;
}

/** The commands for the server: by stored procedures, or by transactions of single statements. */
export interface Commands {
  create(session: NewSession, payload: Buffer, limit: SessionLimit | undefined, call: Call): Promise<CreateResult>;
  write(write: Write, payload: Buffer | undefined, call: Call): Promise<WriteOutcome>;
  touch(touch: Touch, call: Call): Promise<boolean>;
  destroy(id: string, call: Call): Promise<EndedSession | undefined>;
  destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]>;
  sweep(limit: number, call: Call): Promise<SweptBatch>;
  clear(upTo: number | undefined, limit: number, call: Call): Promise<ClearedBatch>;
  /** Reads sessions on connections without autocommit, where a plain SELECT may see what was there long ago. */
  get(ids: readonly string[], call: Call): Promise<Row[]>;
  listByUser(userId: string, call: Call): Promise<Row[]>;
  scan(after: number, size: number, call: Call): Promise<Row[]>;
  count(call: Call): Promise<Row | undefined>;
}

/** Returns the record of a session that was created at `now` by the server's clock. */
export function createdRecord(session: NewSession, now: number): SessionRecord {
  const { id, userId, payload, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 } = session;
  const deadlines = { expiresAt: now + Math.min(idleMs, absoluteMs), endsAt: now + absoluteMs };
  return { id, userId, payload, version, createdAt: now - ageMs, lastActiveAt: now - inactiveMs, ...deadlines, now };
}

export function text(value: string | null | undefined): Buffer | null {
  return value === undefined || value === null ? null : Buffer.from(value);
}
