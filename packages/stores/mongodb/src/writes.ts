import type { CreateResult, NewSession, RenameResult, SessionChange, SessionRecord } from "@sojourn/core/adapter";
import type { Filter, FindOneAndUpdateOptions, UpdateFilter } from "mongodb";
import type { Moment } from "./clock.js";
import type { Connection } from "./connection.js";
import { hasEnded, isExpired, isLive, readRecord, type SessionDocument } from "./document.js";
import { isDuplicateKey } from "./errors.js";

/** A write to a stored session, a new id included. */
export interface ChangeRequest {
  readonly operation: "update" | "rename";
  readonly id: string;
  readonly newId: string | undefined;
  readonly change: SessionChange;
  readonly expectedVersion: number | undefined;
}

/** Why a change cannot be made; `undefined` when it can, as far as one can see. */
type Refusal = Exclude<RenameResult, { status: "renamed" | "limitReached" }>;

/** One round trip; three when the id is in use, because what uses it may have expired. */
export async function insertSession(connection: Connection, session: NewSession): Promise<CreateResult> {
  const insert = async (): Promise<CreateResult> => {
    const moment = await connection.now();
    const document = newDocument(session, moment);
    const { insertedId } = await connection.write("create", (concern) =>
      connection.sessions.insertOne({ ...document }, concern),
    );
    return { status: "created", record: readRecord({ ...document, _id: insertedId }, moment), evicted: [] };
  };
  return insteadOfExpired(connection, session.id, insert);
}

/**
 * One round trip; two when the version is another.
 *
 * @param condition - what else has to hold of the session; if it does not, the answer is `undefined`
 */
export async function changeSession(connection: Connection, request: ChangeRequest): Promise<RenameResult>;
export async function changeSession(
  connection: Connection,
  request: ChangeRequest,
  condition: Filter<SessionDocument>,
): Promise<RenameResult | undefined>;
export async function changeSession(
  connection: Connection,
  request: ChangeRequest,
  condition?: Filter<SessionDocument>,
): Promise<RenameResult | undefined> {
  const { operation, id, newId, change, expectedVersion } = request;
  for (;;) {
    const moment = await connection.now();
    const update = updateOf(request, moment);
    if (update === undefined || newId === id) {
      const { record, refusal } = await readTarget(connection, request);
      return refusal ?? { status: "renamed", record, evicted: [] };
    }
    const filter: Filter<SessionDocument> = {
      ...condition,
      sid: id,
      ...isLive(moment),
      ...(expectedVersion === undefined ? {} : { version: expectedVersion }),
    };
    const { payload } = change;
    const send = (options: FindOneAndUpdateOptions) =>
      connection.sessions.findOneAndUpdate(filter, update, { ...options, returnDocument: "after" });
    const write = async (): Promise<SessionRecord | undefined> => {
      if (payload === undefined) {
        const document = await connection.write(operation, send);
        return document === null ? undefined : readRecord(document, moment);
      }
      // What was sent just now need not come back.
      const document = await connection.writeAndReceive(operation, { payload: 0 }, send);
      return document === null ? undefined : readRecord({ ...document, payload }, moment);
    };
    const written = newId === undefined ? await write() : await insteadOfExpired(connection, newId, write);
    if (written !== undefined) {
      return "status" in written ? written : { status: "renamed", record: written, evicted: [] };
    }
    if (condition === undefined && expectedVersion === undefined) return { status: "missing" };
    const { refusal } = await readTarget(connection, { ...request, newId: undefined });
    if (refusal !== undefined) return refusal;
    if (condition !== undefined) return undefined;
    // It has come to be what was expected only after the write: once more.
  }
}

/** Reads the session that is to be changed, and judges as the write will. */
export async function readTarget(
  connection: Connection,
  { operation, id, newId, expectedVersion }: ChangeRequest,
): Promise<{ record: SessionRecord; refusal?: undefined } | { record?: undefined; refusal: Refusal }> {
  const { sessions } = connection;
  const [document, occupant] = await Promise.all([
    connection.read(operation, () => sessions.findOne({ sid: id })),
    newId === undefined || newId === id ? null : connection.read(operation, () => sessions.findOne({ sid: newId })),
  ]);
  const moment = await connection.now();
  if (document === null || hasEnded(document, moment)) return { refusal: { status: "missing" } };
  const record = readRecord(document, moment);
  if (expectedVersion !== undefined && record.version !== expectedVersion) {
    return { refusal: { status: "conflict", current: record } };
  }
  const isTaken = newId === id || (occupant !== null && !hasEnded(occupant, moment));
  return isTaken ? { refusal: { status: "duplicate" } } : { record };
}

/** Makes a write that needs `id` to be free, again after what has expired under it is removed. */
async function insteadOfExpired<T>(
  connection: Connection,
  id: string,
  write: () => Promise<T>,
): Promise<T | { status: "duplicate" }> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await write();
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      if (!isFirst) return { status: "duplicate" };
    }
    const moment = await connection.now();
    await connection.write("create", (concern) =>
      connection.sessions.deleteOne({ sid: id, ...isExpired(moment) }, concern),
    );
  }
}

function newDocument({ id, userId, payload, idleMs, absoluteMs }: NewSession, { latest }: Moment): SessionDocument {
  const now = new Date(latest);
  return {
    sid: id,
    ...(userId === undefined ? {} : { userId }),
    payload,
    version: 1,
    createdAt: now,
    lastActiveAt: now,
    idleEndsAt: new Date(latest + idleMs),
    endsAt: new Date(latest + absoluteMs),
  };
}

/** `undefined` when nothing is to be changed. */
function updateOf({ newId, change }: ChangeRequest, { latest }: Moment): UpdateFilter<SessionDocument> | undefined {
  const { payload, userId, idleMs } = change;
  const fields = {
    ...(newId === undefined ? {} : { sid: newId }),
    ...(payload === undefined ? {} : { payload }),
    ...(typeof userId === "string" ? { userId } : {}),
    ...(idleMs === undefined ? {} : { idleEndsAt: new Date(latest + idleMs), lastActiveAt: new Date(latest) }),
  };
  const update = {
    ...(Object.keys(fields).length === 0 ? {} : { $set: fields }),
    ...(userId === null ? { $unset: { userId: "" as const } } : {}),
    ...(payload === undefined && userId === undefined ? {} : { $inc: { version: 1 } }),
  };
  return Object.keys(update).length === 0 ? undefined : update;
}
