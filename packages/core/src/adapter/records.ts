import type { NewSession, SessionLimit, SessionRecord } from "../contract/store.js";
import type { Touch, Write } from "./driver.js";

/*
 * The contract's arithmetic on records, for drivers whose backend does not compute them itself. Pure.
 */

/** Returns the record of a session that is created now. */
export function newRecord(session: NewSession, now: number): SessionRecord {
  const { id, userId, payload, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 } = session;
  const times = { createdAt: now - ageMs, lastActiveAt: now - inactiveMs };
  return {
    id,
    userId,
    payload,
    version,
    ...times,
    expiresAt: now + Math.min(idleMs, absoluteMs),
    endsAt: now + absoluteMs,
    now,
  };
}

/** Returns the record after a write at its own `now`. */
export function changedRecord(record: SessionRecord, write: Write): SessionRecord {
  const { now } = record;
  const { newId, payload, userId, idleMs, absoluteMs } = write;
  const isChange = payload !== undefined || userId !== undefined;
  const endsAt = absoluteMs === undefined ? record.endsAt : now + absoluteMs;
  return {
    ...record,
    id: newId ?? record.id,
    payload: payload ?? record.payload,
    userId: userId === undefined ? record.userId : (userId ?? undefined),
    version: record.version + (isChange ? 1 : 0),
    lastActiveAt: idleMs === undefined ? record.lastActiveAt : now,
    expiresAt: Math.min(idleMs === undefined ? record.expiresAt : now + idleMs, endsAt),
    endsAt,
  };
}

/** Returns the record after a touch at its own `now`. */
export function touchedRecord(record: SessionRecord, { idleMs, shorten }: Touch): SessionRecord {
  const { now } = record;
  const deadline = Math.min(now + idleMs, record.endsAt);
  return { ...record, lastActiveAt: now, expiresAt: shorten ? deadline : Math.max(deadline, record.expiresAt) };
}

/** Orders records as lists do: oldest first by `createdAt`, then by id. */
export function byAge(a: SessionRecord, b: SessionRecord): number {
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
}

/**
 * Returns the ids that have to go before the user may gain one more session, or `undefined` when the limit refuses it.
 *
 * @param theirs - the user's live sessions, by age, without the one to be gained
 */
export function idsToEvict(theirs: readonly SessionRecord[], limit: SessionLimit | undefined): string[] | undefined {
  const surplus = limit === undefined ? 0 : theirs.length + 1 - limit.max;
  if (surplus <= 0) return [];
  return limit?.whenReached === "reject" ? undefined : theirs.slice(0, surplus).map(({ id }) => id);
}
