import { isUtf8 } from "node:buffer";
import {
  byAge,
  isSessionError,
  type NewSession,
  newRecord,
  type Read,
  SessionError,
  type SessionRecord,
} from "@sojourn/core/adapter";

/*
 * A session is one string, so that reading it is one plain GET and a touch rewrites a few bytes at its head:
 *
 *   format 1 · expiresAt 13 · lastActiveAt 13 · createdAt 13 · endsAt 13 · version 10 · bytes of the user id 3
 *   (format 2, on a Cluster, goes on: membership 25 · pending move 12 · claim of a rename 12 · claimed until 13)
 *   user id · payload
 *
 * All digits are decimal and padded with zeros. A value that begins with "T" is a tombstone or an arrival on a Cluster:
 * scripts/cluster-prelude.ts describes both.
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
 * @param payload - the payload that the caller has just written; omitted, it is read from `stored`
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

/** The membership that a record on a Cluster, or its head, names, and when it expires. */
export interface Ownership {
  readonly membership: string;
  readonly expiresAt: number;
}

/** @returns `undefined` for a value that is no record */
export function readOwnership(stored: Buffer): Ownership | undefined {
  if (stored.length < clusterHeaderBytes || !hasHeader(stored)) return undefined;
  return { membership: stored.toString("latin1", 66, 91), expiresAt: digits(stored, 1, 14) };
}

/** Whether a record has a user, from its first 66 bytes; `undefined` for a value that is no record. */
export function readHasUser(head: Buffer): boolean | undefined {
  return hasHeader(head) ? digits(head, 63, 66) > 0 : undefined;
}

/** Reads a stored session. A record that cannot be read is answered as its `CORRUPT` error. */
export function tryReadRecord(id: string, stored: Buffer, now: number): Read {
  try {
    return readRecord(id, stored, now);
  } catch (error) {
    if (isSessionError(error, "CORRUPT")) return error;
    throw error;
  }
}

/** Returns the record of a session that is created now. No time is before 1970: a header holds 13 digits. */
export function createdRecord(session: NewSession, now: number): SessionRecord {
  const record = newRecord(session, now);
  return { ...record, createdAt: Math.max(record.createdAt, 0), lastActiveAt: Math.max(record.lastActiveAt, 0) };
}

/** Whether a value of a Cluster stands in the place of a session: it has ended, or is about to arrive by a rename. */
export function isTombstone(stored: Buffer): boolean {
  return stored[0] === tombstoneMark;
}

/** A session that a rename is about to move to the key. */
export interface Arrival {
  readonly claim: string;
  readonly oldId: string;
  readonly record: Buffer;
}

/** @returns `undefined` for a value that is no arrival */
export function readArrival(stored: Buffer): Arrival | undefined {
  if (stored.toString("latin1", 0, 2) !== "TA") return undefined;
  const idEnd = 27 + digits(stored, 14, 17);
  if (stored.length !== idEnd + digits(stored, 17, 27)) return undefined;
  return {
    claim: stored.toString("latin1", 2, 14),
    oldId: stored.toString("utf8", 27, idEnd),
    record: stored.subarray(idEnd),
  };
}

/** Whether the tombstone under the old id says that the rename of this claim has moved the session. */
export function hasMoved(tombstone: Buffer, claim: string): boolean {
  if (!isTombstone(tombstone)) return false;
  const entry = `R${"-".repeat(12)}${claim}`;
  for (let at = 1; at < tombstone.length; at += entry.length) {
    if (tombstone.toString("latin1", at, at + entry.length) === entry) return true;
  }
  return false;
}

/** Orders the records among several reads as lists do. */
export function oldestFirst(a: Read, b: Read): number {
  return isSessionError(a) || isSessionError(b) ? 0 : byAge(a, b);
}

export function corrupt(id: string, cause?: unknown): SessionError {
  return new SessionError("CORRUPT", `@sojourn/redis: the record of session ${JSON.stringify(id)} cannot be read`, {
    cause,
  });
}

/** Returns the error of a call that had to be given up: a step of it came after its time. */
export function tooLate(operation: string, afterMs: number): SessionError {
  const seconds = afterMs / 1_000;
  return new SessionError("UNAVAILABLE", `@sojourn/redis: ${operation}: not done after ${seconds} s, and given up`);
}

function headerBytes(stored: Buffer): number {
  return stored[0] === digitZero + 1 ? commonHeaderBytes : clusterHeaderBytes;
}

/** Whether a value begins with a format and the digits of a header. Byte by byte takes half the time of a regular expression. */
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

/** Returns the number that these digits of a header write. */
function digits(stored: Buffer, start: number, end: number): number {
  let number = 0;
  for (let at = start; at < end; at += 1) number = number * 10 + (stored[at] ?? 0) - digitZero;
  return number;
}
