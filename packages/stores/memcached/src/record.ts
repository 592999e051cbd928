import { SessionError } from "@sojourn/core/adapter";

/** A session as its item holds it. Times are epoch milliseconds by the server's clock. */
export interface StoredSession {
  readonly userId: string | undefined;
  /** Names the session's place in its user's item. It changes with the user and with the id, so no two places are equal. */
  readonly nonce: string;
  readonly version: number;
  readonly createdAt: number;
  readonly lastActiveAt: number;
  readonly expiresAt: number;
  readonly endsAt: number;
  /** Until then a rename of the release before holds the session, and other writers wait. This release never sets it. */
  readonly claimedUntil: number | undefined;
  /** Until then the operation that stored this record may still be under way, and the id is taken. */
  readonly pendingUntil: number;
  /** The key of the record that a rename moves the session from. Until that one says `movedTo`, this one is not alive. */
  readonly former: string | undefined;
  /** The key of the record that a rename has moved the session to. The session is dead under this id. */
  readonly movedTo: string | undefined;
  readonly payload: string;
}

/** One session in the item of its user. */
export interface Member {
  readonly id: string;
  readonly nonce: string;
  readonly createdAt: number;
  /** The session does not end before this. The item itself lives as long as its longest member. */
  readonly expiresAt: number;
  /** Set while the session's record may be about to leave or to reach this place: until then an operation is under way. */
  readonly movingUntil: number | undefined;
  /** The nonce of an arriving member. This member's session ends when that one has arrived. */
  readonly orderedBy: string | undefined;
}

/*
 * Both kinds of item are a line of JSON that starts with a format and the namespace's generation; the payload of a session
 * follows as it is, so that reading does not parse it. Releases read fields by position and ignore those they do not know.
 */
const sessionFormat = "s1";
const userFormat = "u1";
const newline = 0x0a;
/** The user of a record that has moved. No user has it, so the release before takes the record for dead. */
const userOfMoved = "";

export function encodeSession(session: StoredSession, generation: string): Buffer {
  const { userId = null, nonce, version, createdAt, lastActiveAt, expiresAt, endsAt, pendingUntil, payload } = session;
  const times = [createdAt, lastActiveAt, expiresAt, endsAt, session.claimedUntil ?? 0, pendingUntil];
  const owner = session.movedTo === undefined ? userId : userOfMoved;
  const link = session.movedTo ?? session.former;
  const fields = [sessionFormat, generation, owner, nonce, version, ...times, Buffer.byteLength(payload)];
  const header = JSON.stringify(link === undefined ? fields : [...fields, link]);
  return Buffer.from(`${header}\n${payload}`);
}

/** @throws SessionError `CORRUPT` */
export function decodeSession(item: Buffer): { generation: string; value: StoredSession } {
  const headerEnd = item.indexOf(newline);
  const fields = parse(item, headerEnd === -1 ? item.length : headerEnd, sessionFormat);
  const [, generation, userId, nonce, version, ...rest] = fields;
  const [createdAt, lastActiveAt, expiresAt, endsAt, claimedUntil, pendingUntil, bytes, link] = rest;
  const numbers = [version, createdAt, lastActiveAt, expiresAt, endsAt, claimedUntil, pendingUntil];
  if (headerEnd === -1 || bytes !== item.length - headerEnd - 1 || !numbers.every(isNumber)) throw corrupt();
  if (!isText(generation) || !isText(nonce) || !(userId === null || isText(userId))) throw corrupt();
  if (!(link === undefined || isText(link))) throw corrupt();
  const hasMoved = userId === userOfMoved;
  const value = {
    userId: userId ?? undefined,
    nonce,
    version,
    createdAt,
    lastActiveAt,
    expiresAt,
    endsAt,
    claimedUntil: claimedUntil === 0 ? undefined : claimedUntil,
    pendingUntil,
    former: hasMoved ? undefined : link,
    movedTo: hasMoved ? link : undefined,
    payload: item.toString("utf8", headerEnd + 1),
  };
  // `numbers` has been checked as a whole, which the compiler does not see.
  return { generation, value: value as StoredSession };
}

export function encodeMembers(members: readonly Member[], generation: string): Buffer {
  return Buffer.from(JSON.stringify([userFormat, generation, ...members.map(encodeMember)]));
}

function encodeMember({ id, nonce, createdAt, expiresAt, movingUntil, orderedBy }: Member): unknown[] {
  // The release before reads whether it moves. The zero is a counter of that release.
  const place = [id, nonce, createdAt, expiresAt, movingUntil === undefined ? 0 : 1, 0];
  return movingUntil === undefined && orderedBy === undefined ? place : [...place, movingUntil ?? null, orderedBy];
}

/** @throws SessionError `CORRUPT` */
export function decodeMembers(item: Buffer): { generation: string; value: readonly Member[] } {
  const [, generation, ...places] = parse(item, item.length, userFormat);
  if (!isText(generation)) throw corrupt();
  return { generation, value: places.map(decodeMember) };
}

function decodeMember(place: unknown): Member {
  const fields: unknown[] = Array.isArray(place) ? place : [];
  const [id, nonce, createdAt, expiresAt, isMoving, , until, orderedBy] = fields;
  if (!isText(id) || !isText(nonce) || !isNumber(createdAt) || !isNumber(expiresAt)) throw corrupt();
  // The release before writes no time.
  const movingUntil = isNumber(until) ? until : 0;
  return {
    id,
    nonce,
    createdAt,
    expiresAt,
    movingUntil: isMoving === 1 ? movingUntil : undefined,
    orderedBy: isText(orderedBy) ? orderedBy : undefined,
  };
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
