import { isUtf8 } from "node:buffer";
import {
  type EndedSession,
  isSessionError,
  type Read,
  SessionError,
  type SessionRecord,
  type WriteOutcome,
} from "@sojourn/core/adapter";

/** A row of an answer: every column as text. */
export type Row = readonly (string | null)[];

type RecordRow = readonly [id: string, userId: string | null, payload: string | null, numbers: string];

/**
 * Reads a record.
 *
 * @param written - the payload, where the statement has stored it or answers it as text; otherwise it is in the row, in hex
 * @throws SessionError `CORRUPT` when the payload is not UTF-8. The table's own checks exclude every other fault
 */
export function readRecord(row: Row, written?: string): SessionRecord {
  // The statements select these columns in this order, and the table has the others NOT NULL.
  const [id, userId, payload, numbers] = row as unknown as RecordRow;
  const [version, createdAt, lastActiveAt, expiresAt, endsAt, now] = numbers.split(" ");
  return {
    id,
    userId: userId ?? undefined,
    payload: written ?? readPayload(id, payload),
    version: Number(version),
    createdAt: Number(createdAt),
    lastActiveAt: Number(lastActiveAt),
    expiresAt: Number(expiresAt),
    endsAt: Number(endsAt),
    now: Number(now),
  };
}

/** Reads the outcome of a write: a status, the evicted ids, and the columns of a record. Without a row the session is missing. */
export function readOutcome(row: Row | undefined, written?: string): WriteOutcome {
  if (row === undefined) return { status: "missing" };
  const [status, evicted, ...record] = row;
  if (status === "written") {
    // The statement returns the array of ids as JSON.
    return { status, record: readRecord(record, written), evicted: JSON.parse(evicted ?? "[]") as string[] };
  }
  if (status === "conflict") return { status, current: readRecord(record) };
  // The functions return no other status.
  return { status: status as "missing" | "duplicate" | "limitReached" };
}

/** Reads a record. Returns the `CORRUPT` error of a record that cannot be read, so that it does not fail its neighbours. */
export function tryReadRecord(row: Row, payload?: string): Read {
  try {
    return readRecord(row, payload);
  } catch (error) {
    if (isSessionError(error)) return error;
    throw error;
  }
}

export function readEnded([id, userId]: Row): EndedSession {
  return { id: id ?? "", userId: userId ?? undefined };
}

function readPayload(id: string, hex: string | null): string {
  const bytes = Buffer.from(hex ?? "", "hex");
  if (hex !== null && isUtf8(bytes)) return bytes.toString("utf8");
  throw new SessionError("CORRUPT", `@sojourn/postgres: the payload of session ${JSON.stringify(id)} is not UTF-8`);
}
