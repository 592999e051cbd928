import { randomBytes } from "node:crypto";
import type { NewSession, SessionRecord, Write } from "@sojourn/core/adapter";
import type { Exchange } from "./exchange.js";
import { expiryPrecisionMs } from "./items.js";
import type { Member, StoredSession } from "./record.js";

/** The longest time for which an operation that died keeps an id taken. */
const maxPendingMs = 15_000;

export function newSession(
  { userId, payload, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 }: NewSession,
  now: number,
  pendingUntil: number,
): StoredSession {
  const endsAt = now + absoluteMs;
  return {
    userId,
    nonce: newNonce(),
    version,
    createdAt: now - ageMs,
    lastActiveAt: now - inactiveMs,
    expiresAt: Math.min(now + idleMs, endsAt),
    endsAt,
    claimedUntil: undefined,
    pendingUntil,
    former: undefined,
    movedTo: undefined,
    payload,
  };
}

/** Returns the session itself where the write changes nothing but the id. */
export function changedSession(
  session: StoredSession,
  { payload, userId, idleMs, absoluteMs }: Write,
  now: number,
): StoredSession {
  const hasContent = payload !== undefined || userId !== undefined;
  if (!hasContent && idleMs === undefined && absoluteMs === undefined) return session;
  const endsAt = absoluteMs === undefined ? session.endsAt : now + absoluteMs;
  return {
    ...session,
    payload: payload ?? session.payload,
    userId: userId === undefined ? session.userId : (userId ?? undefined),
    version: hasContent ? session.version + 1 : session.version,
    lastActiveAt: idleMs === undefined ? session.lastActiveAt : Math.max(now, session.lastActiveAt),
    expiresAt: Math.min(idleMs === undefined ? session.expiresAt : now + idleMs, endsAt),
    endsAt,
  };
}

export function toRecord(id: string, session: StoredSession, now: number): SessionRecord {
  const { userId, payload, version, createdAt, lastActiveAt, expiresAt, endsAt } = session;
  // A session lives for up to a second after its deadline, and must not look expired then.
  return {
    id,
    userId,
    payload,
    version,
    createdAt,
    lastActiveAt,
    expiresAt,
    endsAt,
    now: Math.min(now, expiresAt - 1),
  };
}

/** Returns the end of the operation by the server's clock. The clock of another process may be a second behind. */
export function pendingUntil(now: number, { remainingMs }: Exchange): number {
  return now + Math.ceil(Math.min(remainingMs + expiryPrecisionMs, maxPendingMs));
}

/** Returns the place of a session in its user's item. */
export function memberOf(id: string, { nonce, createdAt, expiresAt }: StoredSession): Member {
  return { id, nonce, createdAt, expiresAt, movingUntil: undefined, orderedBy: undefined };
}

export function newNonce(): string {
  return randomBytes(9).toString("base64url");
}
