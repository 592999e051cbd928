import { type Read, SessionError, type SessionRecord } from "@sojourn/core/adapter";
import type { Filter, WithId } from "mongodb";
import type { Moment } from "./clock.js";

/** A session as stored. Its `_id` never changes, so that a walk by `_id` misses no session that is being renamed. */
export interface SessionDocument {
  readonly sid: string;
  /** Absent while the session is anonymous. */
  readonly userId?: string;
  readonly payload: string;
  readonly version: number;
  readonly createdAt: Date;
  readonly lastActiveAt: Date;
  /** When it ends unused. May lie beyond `endsAt`: the earlier of the two ends it. So no write has to read the other. */
  readonly idleEndsAt: Date;
  readonly endsAt: Date;
}

/** The tickets of callers who are gaining a session for one user, oldest first. `_id` is the user's id. */
export interface GuardDocument {
  readonly _id: string;
  readonly tickets: readonly string[];
  readonly touchedAt: Date;
}

/** For writes: corrupt documents do not match. */
export function isLive({ earliest }: Moment): Filter<SessionDocument> {
  const now = new Date(earliest);
  return { idleEndsAt: { $gt: now }, endsAt: { $gt: now } };
}

/** For reads and for removals: corrupt documents match, to be reported or to be removed. */
export function isNotExpired({ earliest }: Moment): Filter<SessionDocument> {
  const now = new Date(earliest);
  return { idleEndsAt: { $not: { $lte: now } }, endsAt: { $not: { $lte: now } } };
}

export function isExpired({ earliest }: Moment): Filter<SessionDocument> {
  const now = new Date(earliest);
  return { $or: [{ idleEndsAt: { $lte: now } }, { endsAt: { $lte: now } }] };
}

/**
 * Whether the session has ended, judged when its document has arrived.
 *
 * Values that are no date are left to {@link readRecord}.
 */
export function hasEnded({ idleEndsAt, endsAt }: SessionDocument, { earliest }: Moment): boolean {
  return [idleEndsAt, endsAt].some((deadline) => deadline instanceof Date && deadline.getTime() <= earliest);
}

/** @throws SessionError `CORRUPT` */
export function readRecord(document: WithId<SessionDocument>, { earliest }: Moment): SessionRecord {
  const { sid, userId, payload, version } = document;
  const isReadable =
    typeof sid === "string" &&
    (typeof userId === "string" || userId === undefined) &&
    typeof payload === "string" &&
    Number.isSafeInteger(version);
  if (!isReadable) throw corrupt(document);
  const [createdAt, lastActiveAt, idleEndsAt, endsAt] = [
    timeOf(document, "createdAt"),
    timeOf(document, "lastActiveAt"),
    timeOf(document, "idleEndsAt"),
    timeOf(document, "endsAt"),
  ];
  return {
    id: sid,
    userId,
    payload,
    version,
    createdAt,
    lastActiveAt,
    expiresAt: Math.min(idleEndsAt, endsAt),
    endsAt,
    // Written by the latest moment that it may have been, and read by the earliest: the server's clock never goes back.
    now: Math.max(earliest, lastActiveAt),
  };
}

/** Returns the records of sessions that have not ended, with the errors of those that cannot be read. */
export function readRecords(documents: readonly WithId<SessionDocument>[], moment: Moment): Read[] {
  return documents.flatMap((document): Read[] => {
    if (hasEnded(document, moment)) return [];
    try {
      return [readRecord(document, moment)];
    } catch (error) {
      // readRecord throws nothing else.
      return [error as SessionError];
    }
  });
}

/** Oldest first, then by id. Corrupt documents count as the oldest. */
export function byAge(a: SessionDocument, b: SessionDocument): number {
  return ageOf(a) - ageOf(b) || (a.sid < b.sid ? -1 : 1);
}

function ageOf({ createdAt }: SessionDocument): number {
  return createdAt instanceof Date ? createdAt.getTime() : 0;
}

type TimeField = "createdAt" | "lastActiveAt" | "idleEndsAt" | "endsAt";

function timeOf(document: WithId<SessionDocument>, field: TimeField): number {
  const value: unknown = document[field];
  const time = value instanceof Date ? value.getTime() : Number.NaN;
  if (Number.isNaN(time)) throw corrupt(document);
  return time;
}

function corrupt({ _id }: WithId<SessionDocument>): SessionError {
  return new SessionError("CORRUPT", `@sojourn/mongodb: the document with _id ${String(_id)} is no session`);
}
