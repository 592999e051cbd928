import {
  aliasPrefix,
  type Call,
  type CreateResult,
  type EndedSession,
  type NewSession,
  type Page,
  type Read,
  type SessionCounts,
  type SessionLimit,
  type SessionRecord,
  type StoreCapabilities,
  type StoreDriver,
  type Touch,
  type Write,
  type WriteOutcome,
} from "@sojourn/core/adapter";
import type { Collection, Document, Filter, MongoClient, ObjectId } from "mongodb";
import { precisionMs } from "./clock.js";
import { Connection, inOneAnswer } from "./connection.js";
import {
  byAge,
  hasEnded,
  isExpired,
  isLive,
  isNotExpired,
  readRecord,
  readRecords,
  type SessionDocument,
} from "./document.js";
import { classify } from "./errors.js";
import { changeLimited, createLimited } from "./limiter.js";
import type { ResolvedOptions } from "./options.js";
import { findIds, removeEach, removeOne } from "./removals.js";
import { assertRights } from "./rights.js";
import { backstopMs, createIndexes } from "./schema.js";
import { Trips } from "./trips.js";
import { changeSession, insertSession } from "./writes.js";

const removalBatchSize = 1_000;
const notAlias = { $not: new RegExp(`^${aliasPrefix}`) };

/** Where a step of `scan` begins. */
interface ScanPosition {
  readonly after: Filter<SessionDocument>;
  /** One `_id` of each type that was seen. */
  readonly ids: ReadonlyMap<string, unknown>;
}

/** Sessions in a collection of MongoDB: one document each, changed by single atomic updates. */
export class MongoDriver implements StoreDriver {
  readonly name = "@sojourn/mongodb";
  readonly capabilities: StoreCapabilities = {
    expiryPrecisionMs: precisionMs,
    // TTL indexes are the backstop, not the rule: they report nothing, and not every server has them.
    expiry: "sweep",
    clock: "server",
    scan: true,
    count: true,
    userIndex: "atomic",
    // A session that makes room for itself is stored before the oldest ones go.
    limit: "settled",
    clear: "enumerate",
    // A document holds 16 MiB: the payload, two ids of at most 512 bytes, times and framing.
    maxPayloadBytes: 16_777_216 - 4_096,
  };
  readonly timeoutMs: number;
  readonly classify: StoreDriver["classify"] = classify;
  /** Closed together with the store. */
  ownClient: MongoClient | undefined;
  readonly #connection: Connection;
  #indexes: Promise<void> | undefined;

  constructor(options: ResolvedOptions) {
    this.#connection = new Connection(options);
    this.timeoutMs = options.timeoutMs;
  }

  async ensureSchema(call: Call): Promise<void> {
    const trips = this.#begin(call);
    await this.#ensureIndexes();
    await assertRights(trips);
  }

  async create(session: NewSession, limit: SessionLimit | undefined, call: Call): Promise<CreateResult> {
    const trips = this.#begin(call);
    await this.#ensureIndexes();
    const { userId } = session;
    if (userId === undefined || limit === undefined) return insertSession(trips, session);
    return createLimited(trips, session, userId, limit);
  }

  async read(id: string, call: Call): Promise<SessionRecord | undefined> {
    const trips = this.#begin(call);
    const { sessions } = this.#connection;
    const document = await trips.read((options, watched) => sessions.findOne(watched({ sid: id }), options));
    if (document === null) return undefined;
    const moment = await trips.now();
    return hasEnded(document, moment) ? undefined : readRecord(document, moment);
  }

  async write(write: Write, call: Call): Promise<WriteOutcome> {
    const trips = this.#begin(call);
    if (write.newId !== undefined) await this.#ensureIndexes();
    const { userId, limit } = write;
    if (typeof userId !== "string" || limit === undefined) return changeSession(trips, write);
    return changeLimited(trips, write, userId, limit);
  }

  async touch({ id, idleMs, shorten }: Touch, call: Call): Promise<boolean> {
    const trips = this.#begin(call);
    const moment = await trips.now();
    const idleEndsAt = new Date(moment.latest + idleMs);
    const lastActiveAt = new Date(moment.latest);
    const update = shorten ? { $set: { idleEndsAt }, $max: { lastActiveAt } } : { $max: { idleEndsAt, lastActiveAt } };
    const { sessions } = this.#connection;
    // A touch that a failover undoes costs a session its last minutes; waiting for a majority would cost every request.
    const { matchedCount } = await trips.write(
      (options, watched) => sessions.updateOne(watched({ sid: id, ...isLive(moment) }), update, options),
      { w: 1 },
    );
    return matchedCount === 1;
  }

  async destroy(id: string, call: Call): Promise<EndedSession | undefined> {
    const trips = this.#begin(call);
    const moment = await trips.now();
    return removeOne(trips, { sid: id, ...isNotExpired(moment) });
  }

  async listByUser(userId: string, call: Call): Promise<readonly Read[]> {
    const trips = this.#begin(call);
    const filter = { userId, ...isNotExpired(await trips.now()) };
    const { sessions } = this.#connection;
    const documents = await trips.read((options, watched) =>
      sessions.find(watched(filter), { ...options, ...inOneAnswer }).toArray(),
    );
    return readRecords(documents.sort(byAge), await trips.now());
  }

  async destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]> {
    const trips = this.#begin(call);
    const theirs: Filter<SessionDocument> = {
      userId,
      ...isNotExpired(await trips.now()),
      ...(except === undefined ? {} : { sid: { $ne: except } }),
    };
    const found = await findIds(trips, theirs, 0);
    // By `_id`, which no rename changes, and only if the session is still the user's.
    const ended = await removeEach(
      trips,
      found.map((_id) => ({ _id, ...theirs })),
    );
    return ended.map(({ id }) => id);
  }

  /** Several processes may sweep at once: each session is reported by the one that removed it. */
  async sweep(limit: number, call: Call): Promise<EndedSession[]> {
    const trips = this.#begin(call);
    const moment = await trips.now();
    // A document without an id is no session, and its end could not be reported.
    const expired: Filter<SessionDocument> = { ...isExpired(moment), sid: { $type: "string" } };
    const removed: EndedSession[] = [];
    // Ends early rather than late: sessions that were removed must be reported.
    const enoughMs = trips.remainingMs / 2;
    while (removed.length < limit && trips.remainingMs > enoughMs) {
      const batchSize = Math.min(limit - removed.length, removalBatchSize);
      const found = await findIds(trips, expired, batchSize);
      const filters = found.map((_id) => ({ _id, ...expired }));
      removed.push(...(await removeEach(trips, filters)));
      if (found.length < batchSize) break;
    }
    const { guards } = this.#connection;
    // Guards that have not been touched for so long are not in use.
    const abandoned = { touchedAt: { $lt: new Date(moment.earliest - backstopMs) } };
    await trips.write((options, watched) => guards.deleteMany(watched(abandoned), options));
    return removed;
  }

  /** Walks by `_id`, which never changes, without a cursor that would have to be closed or would expire. */
  async scan(from: unknown, size: number, call: Call): Promise<Page> {
    const trips = this.#begin(call);
    // `from` is undefined, or the `next` of the step before.
    const { after, ids } = (from ?? { after: {}, ids: new Map() }) as ScanPosition;
    const filter = { ...after, ...isNotExpired(await trips.now()) };
    const { sessions } = this.#connection;
    const documents = await trips.read((options, watched) =>
      sessions
        .find(watched(filter), { ...options, ...inOneAnswer })
        .sort({ _id: 1 })
        .limit(size)
        .toArray(),
    );
    const seen = new Map(ids);
    for (const { _id } of documents) seen.set(typeOf(_id), _id);
    return { records: readRecords(documents, await trips.now()), next: nextPosition(after, seen, documents, size) };
  }

  async count(call: Call): Promise<SessionCounts> {
    const trips = this.#begin(call);
    const live = { ...isLive(await trips.now()), sid: notAlias };
    const { sessions } = this.#connection;
    const ofUsers = { ...live, userId: { $exists: true } };
    const countAll = (filter: Filter<SessionDocument>) =>
      trips.read((options, watched) => sessions.countDocuments(watched({ ...filter }), options));
    // Not `distinct`, whose answer has to fit into one document.
    const grouping = [{ $group: { _id: "$userId" } }, { $group: { _id: null, count: { $sum: 1 } } }];
    const [all, withUser, [distinct]] = await Promise.all([
      countAll(live),
      countAll(ofUsers),
      trips.read((options, watched) =>
        sessions.aggregate<Document>([{ $match: watched({ ...ofUsers }) }, ...grouping], options).toArray(),
      ),
    ]);
    return { sessions: all, sessionsWithUser: withUser, users: Number(distinct?.count ?? 0) };
  }

  /** Removes one batch: deleting all at once would outlast any timeout. */
  async clear(from: unknown, call: Call): Promise<unknown> {
    const trips = this.#begin(call);
    const { sessions, guards } = this.#connection;
    const isSessions = from === undefined || from === "sessions";
    const isFull = await (isSessions ? clearBatch(trips, sessions) : clearBatch(trips, guards));
    if (isSessions) return isFull ? "sessions" : "guards";
    return isFull ? "guards" : undefined;
  }

  async close(): Promise<void> {
    this.#connection.close();
    // Its connections end with it: their last words concern no caller.
    await this.ownClient?.close().catch(() => {});
  }

  /** The indexes are there when this resolves. Without the unique one, two sessions could get one id. */
  #ensureIndexes(): Promise<void> {
    this.#indexes ??= createIndexes(new Trips(this.#connection, undefined)).catch((error: unknown) => {
      this.#indexes = undefined;
      throw error;
    });
    return this.#indexes;
  }

  #begin(call: Call): Trips {
    return new Trips(this.#connection, call);
  }
}

/** @returns whether there may be more */
async function clearBatch<T extends Document>(trips: Trips, collection: Collection<T>): Promise<boolean> {
  const found = await trips.read((options, watched) =>
    collection
      .find(watched({}), { ...options, projection: { _id: 1 } })
      .limit(removalBatchSize)
      .toArray(),
  );
  // The compiler cannot know the type of `_id` in a collection of any type.
  const filter = { _id: { $in: found.map(({ _id }) => _id) } } as Filter<T>;
  await trips.write((options, watched) => collection.deleteMany(watched(filter), options));
  return found.length === removalBatchSize;
}

/** `$gt` finds the type of its operand only: ObjectIds as a rule, but other programs may write any type here. */
function nextPosition(
  after: Filter<SessionDocument>,
  ids: ReadonlyMap<string, unknown>,
  documents: readonly { readonly _id: unknown }[],
  size: number,
): ScanPosition | undefined {
  const last = documents.length < size ? undefined : documents.at(-1);
  // The compiler takes `_id` for an ObjectId.
  if (last !== undefined) return { after: { _id: { $gt: last._id as ObjectId } }, ids };
  return "_id" in after ? { after: exceptTypesOf([...ids.values()]), ids } : undefined;
}

function exceptTypesOf(ids: readonly unknown[]): Filter<SessionDocument> {
  // The types of `_id` are those that other programs write.
  return { $nor: ids.flatMap((id) => [{ _id: { $lte: id as never } }, { _id: { $gte: id as never } }]) };
}

function typeOf(id: unknown): string {
  return String(Reflect.get(Object(id), "_bsontype") ?? Object.prototype.toString.call(id));
}
