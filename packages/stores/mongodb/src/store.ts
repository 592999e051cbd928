import {
  assertChange,
  assertId,
  assertNewSession,
  assertScan,
  assertSweep,
  assertTouch,
  type CreateOptions,
  type CreateResult,
  type DestroyByUserOptions,
  defaultTimeoutMs,
  type EndedSession,
  type NewSession,
  type ReadManyOptions,
  type RenameOptions,
  type RenameResult,
  type ScanOptions,
  type SessionChange,
  type SessionCounts,
  SessionError,
  type SessionRecord,
  type SessionStore,
  type StoreCapabilities,
  type SweepOptions,
  type TouchOptions,
  type UpdateOptions,
  type UpdateResult,
  withTimeout,
} from "@sojourn/core/adapter";
import { type Document, type Filter, MongoClient, type WithId } from "mongodb";
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
import { Limiter } from "./limiter.js";
import { assertTimeout, assertUrl, type MongoStoreOptions, resolveOptions } from "./options.js";
import { backstopMs } from "./schema.js";
import { changeSession, insertSession } from "./writes.js";

const capabilities: StoreCapabilities = {
  expiryPrecisionMs: precisionMs,
  // TTL indexes are the backstop, not the rule: what they remove nobody is told of, and not every server has them.
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

const removalBatchSize = 1_000;
const defaultScanBatchSize = 500;
/** So many commands are under way at once when sessions are removed one by one, to know which ones. */
const parallelRemovals = 100;

/**
 * Sessions in a collection of MongoDB, by the official driver: one document each, changed by single atomic updates.
 *
 * The indexes are created before the first session is; {@link MongoStore.ensureSchema} does it earlier.
 */
export class MongoStore implements SessionStore {
  readonly capabilities: StoreCapabilities = capabilities;
  readonly #connection: Connection;
  readonly #limiter: Limiter;
  #closeClient: () => Promise<void> = async () => {};
  #closing: Promise<void> | undefined;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: MongoStoreOptions) {
    this.#connection = new Connection(resolveOptions(options));
    this.#limiter = new Limiter(this.#connection, (filters) => this.#removeEach("evict", filters));
  }

  /**
   * A store with a client of its own, which `close()` closes.
   *
   * @param url - `mongodb://user:password@host/database`, with the parameters that the driver knows
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: Omit<MongoStoreOptions, "client" | "collection"> = {}): MongoStore {
    assertUrl(url);
    const client = createClient(url, options.timeoutMs);
    const store = new MongoStore({ ...options, client });
    store.#closeClient = () => client.close();
    return store;
  }

  /**
   * Creates the indexes that are missing. Call it at start, from as many processes as you like.
   *
   * Not required: the first `create` or `rename` does it, too, but then a missing right shows late.
   *
   * @throws SessionError `BACKEND` without the right to create indexes, `UNAVAILABLE`, `TIMEOUT`
   */
  async ensureSchema(): Promise<void> {
    await this.#connection.now();
    await this.#connection.ensureIndexes();
  }

  async create(session: NewSession, options: CreateOptions = {}): Promise<CreateResult> {
    assertNewSession(session, options, capabilities);
    await this.#connection.ensureIndexes();
    const { userId } = session;
    if (userId === undefined || options.limit === undefined) return insertSession(this.#connection, session);
    return this.#limiter.create(session, userId, options.limit);
  }

  async get(id: string): Promise<SessionRecord | undefined> {
    assertId(id);
    const { sessions } = this.#connection;
    const document = await this.#connection.read("get", () => sessions.findOne({ sid: id }));
    if (document === null) return undefined;
    const moment = await this.#connection.now();
    return hasEnded(document, moment) ? undefined : readRecord(document, moment);
  }

  async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
    const result = await this.#change("update", id, undefined, change, options);
    if (result.status === "renamed") return { ...result, status: "updated" };
    // Without a new id nothing can be a duplicate.
    return result.status === "duplicate" ? { status: "missing" } : result;
  }

  async touch(id: string, options: TouchOptions): Promise<boolean> {
    assertTouch(id, options);
    const moment = await this.#connection.now();
    const idleEndsAt = new Date(moment.latest + options.idleMs);
    const lastActiveAt = new Date(moment.latest);
    const update =
      options.shorten === true
        ? { $set: { idleEndsAt }, $max: { lastActiveAt } }
        : { $max: { idleEndsAt, lastActiveAt } };
    const { sessions } = this.#connection;
    // A touch that a failover undoes costs a session its last minutes; waiting for a majority would cost every request.
    const { matchedCount } = await this.#connection.write("touch", () =>
      sessions.updateOne({ sid: id, ...isLive(moment) }, update, { writeConcern: { w: 1 } }),
    );
    return matchedCount === 1;
  }

  async rename(
    id: string,
    newId: string,
    change: SessionChange = {},
    options: RenameOptions = {},
  ): Promise<RenameResult> {
    assertId(newId, "newId");
    return this.#change("rename", id, newId, change, options);
  }

  async destroy(id: string): Promise<EndedSession | undefined> {
    assertId(id);
    const moment = await this.#connection.now();
    return this.#remove("destroy", { sid: id, ...isNotExpired(moment) });
  }

  async listByUser(userId: string, options: ReadManyOptions = {}): Promise<SessionRecord[]> {
    assertId(userId, "userId");
    const asked = await this.#connection.now();
    const { sessions } = this.#connection;
    const documents = await this.#connection.read("listByUser", () =>
      sessions.find({ userId, ...isNotExpired(asked) }, inOneAnswer).toArray(),
    );
    return readRecords(documents.sort(byAge), await this.#connection.now(), options);
  }

  async destroyByUser(userId: string, { except }: DestroyByUserOptions = {}): Promise<string[]> {
    assertId(userId, "userId");
    if (except !== undefined) assertId(except, "except");
    const moment = await this.#connection.now();
    const theirs: Filter<SessionDocument> = {
      userId,
      ...isNotExpired(moment),
      ...(except === undefined ? {} : { sid: { $ne: except } }),
    };
    const found = await this.#findIds("destroyByUser", theirs, 0);
    // By `_id`, which no rename changes, and only if it is still theirs.
    const ended = await this.#removeEach(
      "destroyByUser",
      found.map((_id) => ({ _id, ...theirs })),
    );
    return ended.map(({ id }) => id);
  }

  /** Several processes may sweep at once: each session is reported by the one that removed it. */
  async sweep(options: SweepOptions): Promise<EndedSession[]> {
    assertSweep(options);
    const moment = await this.#connection.now();
    // What has no id is no session, and nobody could be told that it has ended.
    const expired: Filter<SessionDocument> = { ...isExpired(moment), sid: { $type: "string" } };
    const removed: EndedSession[] = [];
    while (removed.length < options.limit) {
      const batchSize = Math.min(options.limit - removed.length, removalBatchSize);
      const found = await this.#findIds("sweep", expired, batchSize);
      const filters = found.map((_id) => ({ _id, ...expired }));
      removed.push(...(await this.#removeEach("sweep", filters)));
      if (found.length < batchSize) break;
    }
    // What nobody drew a ticket from for so long is not in use.
    const { guards } = this.#connection;
    const abandonedBefore = new Date(moment.earliest - backstopMs);
    await this.#connection.write("sweep", (concern) =>
      guards.deleteMany({ touchedAt: { $lt: abandonedBefore } }, concern),
    );
    return removed;
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<SessionRecord, void, undefined> {
    assertScan(options);
    const { batchSize = defaultScanBatchSize } = options;
    const { sessions } = this.#connection;
    // By `_id`, which never changes, and without a cursor that would have to be closed or would expire.
    let after: Filter<SessionDocument> = {};
    const idOfType = new Map<string, unknown>();
    for (;;) {
      const filter = { ...after, ...isNotExpired(await this.#connection.now()) };
      const documents = await this.#connection.read("scan", () =>
        sessions.find(filter, inOneAnswer).sort({ _id: 1 }).limit(batchSize).toArray(),
      );
      yield* readRecords(documents, await this.#connection.now(), options);
      for (const { _id } of documents) idOfType.set(typeOf(_id), _id);
      const last = documents.length < batchSize ? undefined : documents.at(-1);
      if (last !== undefined) after = { _id: { $gt: last._id } };
      else if ("_id" in after) after = exceptTypesOf([...idOfType.values()]);
      else return;
    }
  }

  async count(): Promise<SessionCounts> {
    const live = isLive(await this.#connection.now());
    const { sessions } = this.#connection;
    const ofUsers = { ...live, userId: { $exists: true } };
    // Not `distinct`, whose answer has to fit into one document.
    const users = [{ $match: ofUsers }, { $group: { _id: "$userId" } }, { $group: { _id: null, count: { $sum: 1 } } }];
    const [all, withUser, [distinct]] = await Promise.all([
      this.#connection.read("count", () => sessions.countDocuments(live)),
      this.#connection.read("count", () => sessions.countDocuments(ofUsers)),
      this.#connection.read("count", () => sessions.aggregate<Document>(users).toArray()),
    ]);
    return { sessions: all, sessionsWithUser: withUser, users: Number(distinct?.count ?? 0) };
  }

  async clear(): Promise<void> {
    const { sessions, guards } = this.#connection;
    // Its own two deletions: by `_id`, because deleting many at once would outlast any timeout.
    for (let size = removalBatchSize; size === removalBatchSize; ) {
      const ids = await this.#findIds("clear", {}, removalBatchSize);
      await this.#connection.write("clear", (concern) => sessions.deleteMany({ _id: { $in: ids } }, concern));
      size = ids.length;
    }
    for (let size = removalBatchSize; size === removalBatchSize; ) {
      const found = await this.#connection.read("clear", () =>
        guards
          .find({}, { projection: { _id: 1 } })
          .limit(removalBatchSize)
          .toArray(),
      );
      const ids = found.map(({ _id }) => _id);
      await this.#connection.write("clear", (concern) => guards.deleteMany({ _id: { $in: ids } }, concern));
      size = ids.length;
    }
  }

  /** Closes the client that `fromUrl` opened. One that was handed in stays open: it belongs to who opened it. */
  close(): Promise<void> {
    this.#connection.close();
    const { timeoutMs } = this.#connection;
    this.#closing ??= withTimeout(this.#closeClient(), timeoutMs, "@sojourn/mongodb: close").catch(() => {});
    return this.#closing;
  }

  async #change(
    operation: "update" | "rename",
    id: string,
    newId: string | undefined,
    change: SessionChange,
    options: RenameOptions,
  ): Promise<RenameResult> {
    assertId(id);
    assertChange(change, options, capabilities);
    if (newId !== undefined) await this.#connection.ensureIndexes();
    const request = { operation, id, newId, change, expectedVersion: options.expectedVersion };
    const { limit } = options;
    if (typeof change.userId !== "string" || limit === undefined) return changeSession(this.#connection, request);
    return this.#limiter.change(request, change.userId, limit);
  }

  async #findIds(
    operation: string,
    filter: Filter<SessionDocument>,
    limit: number,
  ): Promise<WithId<SessionDocument>["_id"][]> {
    const { sessions } = this.#connection;
    const found = await this.#connection.read(operation, () =>
      sessions
        .find(filter, { projection: { _id: 1 } })
        .limit(limit)
        .toArray(),
    );
    return found.map(({ _id }) => _id);
  }

  /** One command each, because one for all does not tell which it removed, under which id, and which somebody else had. */
  async #removeEach(operation: string, filters: readonly Filter<SessionDocument>[]): Promise<EndedSession[]> {
    const removed: EndedSession[] = [];
    for (let from = 0; from < filters.length; from += parallelRemovals) {
      const batch = filters.slice(from, from + parallelRemovals);
      const ended = await Promise.all(batch.map((filter) => this.#remove(operation, filter)));
      removed.push(...ended.filter((session) => session !== undefined));
    }
    return removed;
  }

  async #remove(operation: string, filter: Filter<SessionDocument>): Promise<EndedSession | undefined> {
    const { sessions } = this.#connection;
    const removed = await this.#connection.writeAndReceive(operation, { sid: 1, userId: 1 }, (options) =>
      sessions.findOneAndDelete(filter, options),
    );
    return removed === null ? undefined : { id: removed.sid, userId: removed.userId };
  }
}

/** `$gt` sees the type of its operand only: ObjectIds as a rule, but others may write here and use what they like. */
function exceptTypesOf(ids: readonly unknown[]): Filter<SessionDocument> {
  // The types of `_id` are what others make of them.
  return { $nor: ids.flatMap((id) => [{ _id: { $lte: id as never } }, { _id: { $gte: id as never } }]) };
}

function typeOf(id: unknown): string {
  return String(Reflect.get(Object(id), "_bsontype") ?? Object.prototype.toString.call(id));
}

/** It connects with the first request: until then there is nothing to close. */
function createClient(url: string, timeoutMs: unknown = defaultTimeoutMs): MongoClient {
  assertTimeout(timeoutMs);
  try {
    return new MongoClient(url, {
      // Beyond the store's own timeout nobody waits any more: then the driver should not send it either.
      serverSelectionTimeoutMS: timeoutMs,
      waitQueueTimeoutMS: timeoutMs,
      connectTimeoutMS: timeoutMs,
    });
  } catch (error) {
    const message = '@sojourn/mongodb: option "url" is refused by the driver; its error is the cause';
    throw new SessionError("INVALID_OPTION", message, { cause: error });
  }
}
