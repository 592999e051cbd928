import { isUtf8 } from "node:buffer";
import { type EndedSession, isSessionError, type Read, SessionError, type SessionRecord } from "@sojourn/core/adapter";

/** A row as the driver returns it: binary columns as buffers, numbers as numbers or, where the pool is set so, as text. */
export type Row = Readonly<Record<string, Buffer | number | string | null>>;

/** The columns of a record. `payload` is null where the statement has just stored it and does not send it back. */
interface RecordRow {
  readonly user_id: Buffer | null;
  readonly payload: Buffer | null;
  readonly version: number | string;
  readonly created_at: number | string;
  readonly last_active_at: number | string;
  readonly expires_at: number | string;
  readonly ends_at: number | string;
  readonly now_ms: number | string;
}

/**
 * Reads a record from a row.
 *
 * @param written - the payload, where the row holds none
 * @throws SessionError `CORRUPT` when payload or user are not UTF-8: the table refuses everything else
 */
export function readRecord(id: string, row: Row, written?: string): SessionRecord {
  // The statements select these columns, and the table declares their types.
  const columns = row as unknown as RecordRow;
  return {
    id,
    userId: columns.user_id === null ? undefined : readText(columns.user_id, id, "user id"),
    payload: columns.payload === null ? (written ?? "") : readText(columns.payload, id, "payload"),
    version: Number(columns.version),
    createdAt: Number(columns.created_at),
    lastActiveAt: Number(columns.last_active_at),
    expiresAt: Number(columns.expires_at),
    endsAt: Number(columns.ends_at),
    now: Number(columns.now_ms),
  };
}

/** Returns a corrupt record as its error. */
export function tryReadRecord(row: Row): Read {
  try {
    return readRecord(readId(row), row);
  } catch (error) {
    if (isSessionError(error)) return error;
    throw error;
  }
}

/** Reads a session that has ended: whatever its columns hold, it is gone. */
export function readEnded(row: Row): EndedSession {
  return { id: readId(row), userId: Buffer.isBuffer(row.user_id) ? row.user_id.toString() : undefined };
}

export function readId({ id }: Row): string {
  return Buffer.isBuffer(id) ? id.toString() : "";
}

function readText(bytes: Buffer, id: string, column: string): string {
  if (isUtf8(bytes)) return bytes.toString();
  throw new SessionError("CORRUPT", `@sojourn/mysql: the ${column} of session ${JSON.stringify(id)} is not UTF-8`);
}
