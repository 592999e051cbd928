import { isUtf8 } from "node:buffer";
import { isSessionError, type ReadManyOptions, SessionError, type SessionRecord } from "@sojourn/core/adapter";

/*
 * A session is one string, so that reading it is one plain GET and a touch rewrites a few bytes at its head:
 *
 *   format 1 · expiresAt 13 · lastActiveAt 13 · createdAt 13 · endsAt 13 · version 10 · bytes of the user id 3
 *   (format 2, on a Cluster, goes on: membership 25 · pending move 12 · claim of a rename 12 · claimed until 13)
 *   user id · payload
 *
 * All digits are decimal and padded with zeros. What begins with "T" is the tombstone of a session on a Cluster.
 */
export const commonHeaderBytes = 66;
const clusterHeaderBytes = 128;
/** Everything before the payload, on a Cluster. */
export const longestHeadBytes: number = clusterHeaderBytes + 512;
const tombstoneMark = "T".charCodeAt(0);
const digitZero = "0".charCodeAt(0);

/**
 * Reads a stored session.
 *
 * @param payload - what the caller has just written; else it is read from `stored`
 * @throws SessionError `CORRUPT`
 */
export function readRecord(id: string, stored: Buffer, now: number, payload?: string): SessionRecord {
  const userEnd = hasHeader(stored) ? headerBytes(stored) + digits(stored, 63, 66) : Number.POSITIVE_INFINITY;
  if (stored.length < userEnd || !isUtf8(stored)) throw corrupt(id);
  const expiresAt = digits(stored, 1, 14);
  const lastActiveAt = digits(stored, 14, 27);
  return {
    id,
    userId: stored.toString("utf8", headerBytes(stored), userEnd) || undefined,
    payload: payload ?? stored.toString("utf8", userEnd),
    version: digits(stored, 53, 63),
    createdAt: digits(stored, 27, 40),
    lastActiveAt,
    expiresAt,
    endsAt: digits(stored, 40, 53),
    // The server answered it, so it was written before and is alive: an estimate of the clock must not say otherwise.
    now: Math.min(Math.max(now, lastActiveAt), expiresAt - 1),
  };
}

/** Of a record on a Cluster, or of its head: the membership that it names, and when it expires. */
export interface Ownership {
  readonly membership: string;
  readonly expiresAt: number;
}

/** @returns `undefined` for what is no record */
export function readOwnership(stored: Buffer): Ownership | undefined {
  if (stored.length < clusterHeaderBytes || !hasHeader(stored)) return undefined;
  return { membership: stored.toString("latin1", 66, 91), expiresAt: digits(stored, 1, 14) };
}

/** Whether a record has a user, from its first 66 bytes; `undefined` for what is no record. */
export function readHasUser(head: Buffer): boolean | undefined {
  return hasHeader(head) ? digits(head, 63, 66) > 0 : undefined;
}

/** Reads several, reports those that cannot be read, and goes on. */
export function readRecords(
  stored: Iterable<readonly [id: string, value: Buffer]>,
  now: number,
  onCorrupt: ReadManyOptions["onCorrupt"],
): SessionRecord[] {
  const records: SessionRecord[] = [];
  for (const [id, value] of stored) {
    try {
      records.push(readRecord(id, value, now));
    } catch (error) {
      if (!isSessionError(error, "CORRUPT")) throw error;
      onCorrupt?.(error);
    }
  }
  return records;
}

/** What a Cluster keeps for a moment in the place of a session that has ended. */
export function isTombstone(stored: Buffer): boolean {
  return stored[0] === tombstoneMark;
}

export function corrupt(id: string, cause?: unknown): SessionError {
  return new SessionError("CORRUPT", `@sojourn/redis: the record of session ${JSON.stringify(id)} cannot be read`, {
    cause,
  });
}

function headerBytes(stored: Buffer): number {
  return stored[0] === digitZero + 1 ? commonHeaderBytes : clusterHeaderBytes;
}

/** Whether it begins with a format and the digits of a header. Byte by byte: half of what a regular expression and texts take. */
function hasHeader(stored: Buffer): boolean {
  if (stored.length < commonHeaderBytes) return false;
  const format = stored[0];
  if (format !== digitZero + 1 && format !== digitZero + 2) return false;
  for (let at = 1; at < commonHeaderBytes; at += 1) {
    const byte = stored[at];
    if (byte === undefined || byte < digitZero || byte > digitZero + 9) return false;
  }
  return true;
}

/** The number that these digits of a header are. */
function digits(stored: Buffer, start: number, end: number): number {
  let number = 0;
  for (let at = start; at < end; at += 1) number = number * 10 + (stored[at] ?? 0) - digitZero;
  return number;
}
