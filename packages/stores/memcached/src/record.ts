import { SessionError } from "@sojourn/core/adapter";

/** A session as its item holds it. Times are epoch milliseconds by the server's clock. */
export interface StoredSession {
  readonly userId: string | undefined;
  /** Names this session's place in its user's item. Another one with each user and each id, so that no two places meet. */
  readonly nonce: string;
  readonly version: number;
  readonly createdAt: number;
  readonly lastActiveAt: number;
  readonly expiresAt: number;
  readonly endsAt: number;
  /** While a rename is moving this session to another id: until when other writers wait for it, and then end its claim. */
  readonly claimedUntil: number | undefined;
  /** Until when the write that makes this session alive may still be under way: so long its id is taken. */
  readonly pendingUntil: number;
  readonly payload: string;
}

/** One session in the item of its user. */
export interface Member {
  readonly id: string;
  readonly nonce: string;
  readonly createdAt: number;
  /** Not before this does the session end; the item itself lives as long as its longest member. */
  readonly expiresAt: number;
  /** Set before its record passes to or from another user: that may be about to happen, or have happened. */
  readonly isMoving: boolean;
  /** How many claims on its record were ended because their time was up: a rename that began before one must not take. */
  readonly claimsEnded: number;
}

/*
 * Both kinds of item are a line of JSON that starts with a format and the namespace's generation; the payload of a session
 * follows as it is, so that reading does not parse it.
 */
const sessionFormat = "s1";
const userFormat = "u1";
const newline = 0x0a;

export function encodeSession(session: StoredSession, generation: string): Buffer {
  const { userId, nonce, version, createdAt, lastActiveAt, expiresAt, endsAt, claimedUntil, pendingUntil, payload } =
    session;
  const bytes = Buffer.byteLength(payload);
  const times = [createdAt, lastActiveAt, expiresAt, endsAt, claimedUntil ?? 0, pendingUntil];
  const header = JSON.stringify([sessionFormat, generation, userId ?? null, nonce, version, ...times, bytes]);
  return Buffer.from(`${header}\n${payload}`);
}

/** @throws SessionError `CORRUPT` */
export function decodeSession(item: Buffer): { generation: string; value: StoredSession } {
  const headerEnd = item.indexOf(newline);
  const fields = parse(item, headerEnd === -1 ? item.length : headerEnd, sessionFormat);
  const [, generation, userId, nonce, version, ...rest] = fields;
  const [createdAt, lastActiveAt, expiresAt, endsAt, claimedUntil, pendingUntil, bytes] = rest;
  if (
    headerEnd === -1 ||
    !isText(generation) ||
    !(userId === null || isText(userId)) ||
    !isText(nonce) ||
    !isNumber(version) ||
    !isNumber(createdAt) ||
    !isNumber(lastActiveAt) ||
    !isNumber(expiresAt) ||
    !isNumber(endsAt) ||
    !isNumber(claimedUntil) ||
    !isNumber(pendingUntil) ||
    bytes !== item.length - headerEnd - 1
  ) {
    throw corrupt();
  }
  const value: StoredSession = {
    userId: userId ?? undefined,
    nonce,
    version,
    createdAt,
    lastActiveAt,
    expiresAt,
    endsAt,
    claimedUntil: claimedUntil === 0 ? undefined : claimedUntil,
    pendingUntil,
    payload: item.toString("utf8", headerEnd + 1),
  };
  return { generation, value };
}

export function encodeMembers(members: readonly Member[], generation: string): Buffer {
  const places = members.map(({ id, nonce, createdAt, expiresAt, isMoving, claimsEnded }) => [
    id,
    nonce,
    createdAt,
    expiresAt,
    isMoving ? 1 : 0,
    claimsEnded,
  ]);
  return Buffer.from(JSON.stringify([userFormat, generation, ...places]));
}

/** @throws SessionError `CORRUPT` */
export function decodeMembers(item: Buffer): { generation: string; value: readonly Member[] } {
  const [, generation, ...places] = parse(item, item.length, userFormat);
  if (!isText(generation)) throw corrupt();
  return { generation, value: places.map(readMember) };
}

function readMember(place: unknown): Member {
  const [id, nonce, createdAt, expiresAt, isMoving, claimsEnded] = Array.isArray(place) ? (place as unknown[]) : [];
  if (!isText(id) || !isText(nonce) || !isNumber(createdAt) || !isNumber(expiresAt)) throw corrupt();
  if (!isNumber(claimsEnded)) throw corrupt();
  return { id, nonce, createdAt, expiresAt, isMoving: isMoving === 1, claimsEnded };
}

function parse(item: Buffer, end: number, format: string): unknown[] {
  let fields: unknown;
  try {
    fields = JSON.parse(item.toString("utf8", 0, end));
  } catch {
    throw corrupt();
  }
  if (!Array.isArray(fields) || fields[0] !== format) throw corrupt();
  return fields;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

function corrupt(): SessionError {
  return new SessionError("CORRUPT", "@sojourn/memcached: a stored item cannot be read");
}
