import type { CreateResult, NewSession, SessionRecord, Write, WriteOutcome } from "@sojourn/core/adapter";
import type { Filter, FindOneAndUpdateOptions, UpdateFilter } from "mongodb";
import type { Moment } from "./clock.js";
import { hasEnded, isExpired, isLive, readRecord, type SessionDocument } from "./document.js";
import { isDuplicateKey } from "./errors.js";
import type { Trips, Watch } from "./trips.js";

/** Why a write cannot be made. */
type Refusal = Exclude<WriteOutcome, { status: "written" | "limitReached" }>;

type Target =
  | { readonly status: "found"; readonly document: SessionDocument; readonly record: SessionRecord }
  | { readonly status: "refused"; readonly refusal: Refusal };

/** One round trip; three when the id is in use, because the session that uses it may have expired. */
export async function insertSession(trips: Trips, session: NewSession): Promise<CreateResult> {
  const { sessions } = trips.connection;
  const insert = async (): Promise<CreateResult> => {
    const moment = await trips.now();
    const document = newDocument(session, moment);
    const { insertedId } = await trips.write((options, watched) =>
      sessions.insertOne(watched({ ...document }), options),
    );
    trips.hasDecided = true;
    return { status: "created", record: readRecord({ ...document, _id: insertedId }, moment), evicted: [] };
  };
  return insteadOfExpired(trips, session.id, insert);
}

/**
 * One round trip; two when the version is another one.
 *
 * @param condition - must hold of the session too; if it does not, the answer is `undefined`
 */
export async function changeSession(trips: Trips, write: Write): Promise<WriteOutcome>;
export async function changeSession(
  trips: Trips,
  write: Write,
  condition: Filter<SessionDocument>,
): Promise<WriteOutcome | undefined>;
export async function changeSession(
  trips: Trips,
  write: Write,
  condition?: Filter<SessionDocument>,
): Promise<WriteOutcome | undefined> {
  for (;;) {
    const moment = await trips.now();
    const update = updateOf(write, moment);
    if (update === undefined || write.newId === write.id) return readOnly(trips, write);
    const cap = await endToCap(trips, write);
    if (cap.status === "refused") return cap.refusal;
    const outcome = await tryChange(
      trips,
      write,
      moment,
      { ...update, ...cap.update },
      { ...condition, ...cap.filter },
    );
    if (outcome !== undefined) return outcome;
    if (condition === undefined && write.expectedVersion === undefined && cap.filter === undefined) {
      return { status: "missing" };
    }
    const target = await readTarget(trips, { ...write, newId: undefined });
    if (target.status === "refused") return target.refusal;
    if (condition !== undefined) return undefined;
    // It has come to be as expected only after the write: once more.
  }
}

/** Reads the session that is to be changed, and judges as the write will. */
export async function readTarget(trips: Trips, { id, newId, expectedVersion }: Write): Promise<Target> {
  const { sessions } = trips.connection;
  const find = (sid: string) => trips.read((options, watched) => sessions.findOne(watched({ sid }), options));
  const [document, occupant] = await Promise.all([find(id), newId === undefined || newId === id ? null : find(newId)]);
  const moment = await trips.now();
  if (document === null || hasEnded(document, moment)) return refused({ status: "missing" });
  const record = readRecord(document, moment);
  if (expectedVersion !== undefined && record.version !== expectedVersion) {
    return refused({ status: "conflict", current: record });
  }
  const isTaken = newId === id || (occupant !== null && !hasEnded(occupant, moment));
  return isTaken ? refused({ status: "duplicate" }) : { status: "found", document, record };
}

/** Answers a write that changes nothing. */
async function readOnly(trips: Trips, write: Write): Promise<WriteOutcome> {
  const target = await readTarget(trips, write);
  return target.status === "refused" ? target.refusal : { status: "written", record: target.record, evicted: [] };
}

/** @returns `undefined` when no session matches */
async function tryChange(
  trips: Trips,
  { id, newId, payload, expectedVersion }: Write,
  moment: Moment,
  update: UpdateFilter<SessionDocument>,
  condition: Filter<SessionDocument>,
): Promise<WriteOutcome | undefined> {
  const filter: Filter<SessionDocument> = {
    ...condition,
    sid: id,
    ...isLive(moment),
    ...(expectedVersion === undefined ? {} : { version: expectedVersion }),
  };
  const { sessions } = trips.connection;
  const send = (options: FindOneAndUpdateOptions, watched: Watch) =>
    sessions.findOneAndUpdate(watched({ ...filter }), update, { ...options, returnDocument: "after" });
  const change = async (): Promise<WriteOutcome | undefined> => {
    // The payload that was sent need not come back.
    const document =
      payload === undefined ? await trips.write(send) : await trips.writeAndReceive({ payload: 0 }, send);
    if (document === null) return undefined;
    trips.hasDecided = true;
    const record = readRecord(payload === undefined ? document : { ...document, payload }, moment);
    return { status: "written", record, evicted: [] };
  };
  return newId === undefined ? change() : insteadOfExpired(trips, newId, change);
}

/**
 * A new absolute deadline alone must not lengthen the idle one, which may be stored beyond the old absolute deadline. So the
 * old one is read first: classic update operators cannot compare two fields.
 */
async function endToCap(
  trips: Trips,
  write: Write,
): Promise<
  | { status: "known"; filter?: Filter<SessionDocument>; update?: UpdateFilter<SessionDocument> }
  | { status: "refused"; refusal: Refusal }
> {
  if (write.absoluteMs === undefined || write.idleMs !== undefined) return { status: "known" };
  const target = await readTarget(trips, write);
  if (target.status === "refused") return target;
  const { endsAt } = target.document;
  return { status: "known", filter: { endsAt }, update: { $min: { idleEndsAt: endsAt } } };
}

/** Makes a write that needs `id` to be free, again after a session that has expired under it is removed. */
async function insteadOfExpired<Result>(
  trips: Trips,
  id: string,
  write: () => Promise<Result>,
): Promise<Result | { status: "duplicate" }> {
  const { sessions } = trips.connection;
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await write();
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      if (!isFirst) return { status: "duplicate" };
    }
    const expired = { sid: id, ...isExpired(await trips.now()) };
    await trips.write((options, watched) => sessions.deleteOne(watched({ ...expired }), options));
  }
}

function newDocument(
  { id, userId, payload, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 }: NewSession,
  { latest }: Moment,
): SessionDocument {
  return {
    sid: id,
    ...(userId === undefined ? {} : { userId }),
    payload,
    version,
    createdAt: new Date(latest - ageMs),
    lastActiveAt: new Date(latest - inactiveMs),
    idleEndsAt: new Date(latest + Math.min(idleMs, absoluteMs)),
    endsAt: new Date(latest + absoluteMs),
  };
}

/** Returns `undefined` when nothing is to be changed. */
function updateOf(
  { newId, payload, userId, idleMs, absoluteMs }: Write,
  { latest }: Moment,
): UpdateFilter<SessionDocument> | undefined {
  const fields = {
    ...(newId === undefined ? {} : { sid: newId }),
    ...(payload === undefined ? {} : { payload }),
    ...(typeof userId === "string" ? { userId } : {}),
    ...(idleMs === undefined ? {} : { idleEndsAt: new Date(latest + idleMs), lastActiveAt: new Date(latest) }),
    ...(absoluteMs === undefined ? {} : { endsAt: new Date(latest + absoluteMs) }),
  };
  const update = {
    ...(Object.keys(fields).length === 0 ? {} : { $set: fields }),
    ...(userId === null ? { $unset: { userId: "" as const } } : {}),
    ...(payload === undefined && userId === undefined ? {} : { $inc: { version: 1 } }),
  };
  return Object.keys(update).length === 0 ? undefined : update;
}

function refused(refusal: Refusal): Target {
  return { status: "refused", refusal };
}
