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
  ReadBatch,
  type ReadManyOptions,
  type RenameOptions,
  type RenameResult,
  type ScanOptions,
  type SessionChange,
  type SessionCounts,
  SessionError,
  type SessionLimit,
  type SessionRecord,
  type SessionStore,
  type StoreCapabilities,
  type SweepOptions,
  type TouchOptions,
  type UpdateOptions,
  type UpdateResult,
  withTimeout,
} from "@sojourn/core/adapter";
import pg from "pg";
import { Connection } from "./connection.js";
import { isNoText } from "./errors.js";
import type { Names } from "./names.js";
import { assertUrl, type PostgresStoreOptions, resolveOptions } from "./options.js";
import { type Row, readEnded, readOutcome, readRecord, readRecords, type WriteOutcome } from "./record.js";
import { schemaScript } from "./schema.js";
import { type Statement, type Statements, schemaExists, statementsOf } from "./statements.js";
import { WriteBatch } from "./write-batch.js";

const capabilities: StoreCapabilities = {
  expiryPrecisionMs: 1,
  expiry: "sweep",
  clock: "server",
  scan: true,
  count: true,
  userIndex: "atomic",
  limit: "atomic",
  clear: "enumerate",
  // PostgreSQL holds 64 times as much, but not within the default timeout.
  maxPayloadBytes: 16 * 1_024 * 1_024,
};

/** Enough for the gain, few enough to keep an answer small. */
const maxIdsPerRead = 100;
const maxReadsInFlight = 4;
/** A larger payload is sent by itself: its neighbours would wait for it. */
const maxPayloadInBatch = 16 * 1_024;
const clearBatchSize = 2_000;
const defaultScanBatchSize = 500;

interface Touch {
  readonly id: string;
  readonly idleMs: number;
  readonly shorten: boolean;
}

/** An update of payload, and perhaps deadline, alone. */
interface PayloadUpdate {
  readonly id: string;
  readonly payload: string;
  readonly bytes: Buffer;
  readonly idleMs: number | undefined;
  readonly expectedVersion: number | undefined;
}

/**
 * Sessions in a table of PostgreSQL 13 or later, by the driver `pg`. Each operation is one round trip.
 *
 * The table must exist: call {@link PostgresStore.ensureSchema} at start, or run what `schemaSql` answers.
 */
export class PostgresStore implements SessionStore {
  readonly capabilities: StoreCapabilities = capabilities;
  readonly #names: Names;
  readonly #statements: Statements;
  readonly #connection: Connection;
  readonly #reads: ReadBatch<() => SessionRecord>;
  readonly #touches: WriteBatch<Touch, boolean>;
  readonly #updates: WriteBatch<PayloadUpdate, WriteOutcome>;
  readonly #timeoutMs: number;
  #endPool: () => Promise<void> = async () => {};
  #closing: Promise<void> | undefined;
  /** Where the next sweep begins, in epoch milliseconds: see {@link PostgresStore.sweep}. */
  #sweepFrom = 0;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: PostgresStoreOptions) {
    const resolved = resolveOptions(options);
    this.#names = resolved.names;
    this.#statements = statementsOf(resolved.names);
    this.#connection = new Connection(resolved);
    this.#timeoutMs = resolved.timeoutMs;
    this.#reads = new ReadBatch({ maxIds: maxIdsPerRead, maxInFlight: maxReadsInFlight }, (ids) => this.#readAll(ids));
    const { timeoutMs } = resolved;
    this.#touches = new WriteBatch({
      operation: "touch",
      timeoutMs,
      writeAll: (touches, ms) => this.#touchAll(touches, ms),
      writeOne: (touch, ms) => this.#touchOne(touch, ms),
    });
    this.#updates = new WriteBatch({
      operation: "update",
      timeoutMs,
      writeAll: (updates, ms) => this.#updateAll(updates, ms),
      writeOne: (update, ms) => this.#updateOne(update, ms),
    });
  }

  /**
   * A store with a pool of its own, of ten connections at most, which `close()` ends.
   *
   * @param url - `postgres://user:password@host:5432/database`, with the parameters that `pg` knows
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: Omit<PostgresStoreOptions, "pool"> = {}): PostgresStore {
    assertUrl(url);
    const pool = new pg.Pool({
      connectionString: url,
      connectionTimeoutMillis: options.timeoutMs ?? defaultTimeoutMs,
      keepAlive: true,
      allowExitOnIdle: true,
    });
    // An idle connection was lost; the next operation opens another. Without a listener it would end the process.
    pool.on("error", () => {});
    const store = new PostgresStore({ ...options, pool });
    store.#endPool = () => pool.end();
    return store;
  }

  /**
   * Creates schema, table, indexes and functions where they are missing. Call it at start, from as many processes as you
   * like: they wait for each other.
   *
   * Where everything is there already it changes nothing and needs no right to create anything.
   *
   * @throws SessionError `BACKEND` without the rights, or in a database of another encoding than UTF8
   */
  async ensureSchema(): Promise<void> {
    const [row] = await this.#run(schemaExists, [this.#names.table, this.#names.destroyByUser]);
    if (row?.[0] !== "true") await this.#connection.runScript("ensureSchema", schemaScript(this.#names));
  }

  async create(session: NewSession, options: CreateOptions = {}): Promise<CreateResult> {
    assertNewSession(session, options, capabilities);
    const { id, userId, payload, idleMs, absoluteMs } = session;
    const { limit } = options;
    const values = [id, userId, Buffer.from(payload), idleMs, absoluteMs];
    if (limit === undefined || userId === undefined) {
      const [row] = await this.#run(this.#statements.create, values);
      if (row === undefined) return { status: "duplicate" };
      return { status: "created", record: readRecord(row, payload), evicted: [] };
    }
    const [row] = await this.#run(this.#statements.createLimited, [...values, ...limitValues(limit)]);
    const outcome = readOutcome(row, payload);
    if (outcome.status === "written") return { ...outcome, status: "created" };
    return { status: outcome.status === "duplicate" ? "duplicate" : "limitReached" };
  }

  /** Reads asked for in one tick travel as one statement. */
  async get(id: string): Promise<SessionRecord | undefined> {
    assertId(id);
    const read = await withTimeout(this.#reads.read(id), this.#timeoutMs, "@sojourn/postgres: get");
    return read?.();
  }

  /**
   * Updates of one tick travel as one statement, unless they change the user or are large. Those of one session that do not
   * wait for each other are made in any order.
   */
  async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
    const outcome = await this.#change(id, undefined, change, options);
    if (outcome.status === "written") return { ...outcome, status: "updated" };
    // Without a new id nothing can be a duplicate.
    return outcome.status === "duplicate" ? { status: "missing" } : outcome;
  }

  /** Touches of one tick travel as one statement. */
  async touch(id: string, options: TouchOptions): Promise<boolean> {
    assertTouch(id, options);
    const { idleMs, shorten = false } = options;
    return this.#touches.write({ id, idleMs, shorten });
  }

  async rename(
    id: string,
    newId: string,
    change: SessionChange = {},
    options: RenameOptions = {},
  ): Promise<RenameResult> {
    assertId(newId, "newId");
    const outcome = await this.#change(id, newId, change, options);
    return outcome.status === "written" ? { ...outcome, status: "renamed" } : outcome;
  }

  async destroy(id: string): Promise<EndedSession | undefined> {
    assertId(id);
    const [row] = await this.#run(this.#statements.destroy, [id]);
    // It may have expired while the statement waited for a lock.
    return row?.[1] === "true" ? { id, userId: row[0] ?? undefined } : undefined;
  }

  async listByUser(userId: string, options: ReadManyOptions = {}): Promise<SessionRecord[]> {
    assertId(userId, "userId");
    return readRecords(await this.#run(this.#statements.listByUser, [userId]), options);
  }

  async destroyByUser(userId: string, { except }: DestroyByUserOptions = {}): Promise<string[]> {
    assertId(userId, "userId");
    if (except !== undefined) assertId(except, "except");
    const rows = await this.#run(this.#statements.destroyByUser, [userId, except]);
    return rows.map((row) => readEnded(row).id);
  }

  /**
   * One node sweeps at a time: another one that tries meanwhile finds nothing.
   *
   * A full batch lets the next one begin where it ended, so that a backlog is not walked again for each batch. A batch that
   * is not full lets the next begin from the start, and so finds what was locked or came in behind.
   */
  async sweep(options: SweepOptions): Promise<EndedSession[]> {
    assertSweep(options);
    const rows = await this.#run(this.#statements.sweep, [options.limit, this.#sweepFrom]);
    this.#sweepFrom = rows.length < options.limit ? 0 : Number(rows.at(-1)?.[2]);
    return rows.map(readEnded);
  }

  /** In the order of ids. A session renamed during the walk may be missed, or be seen under both ids. */
  async *scan(options: ScanOptions = {}): AsyncIterable<SessionRecord> {
    assertScan(options);
    const { batchSize = defaultScanBatchSize } = options;
    let last = "";
    for (;;) {
      const rows = await this.#run(this.#statements.scan, [last, batchSize]);
      yield* readRecords(rows, options);
      if (rows.length < batchSize) return;
      last = rows.at(-1)?.[0] ?? last;
    }
  }

  /** Reads the whole table: not for each request. */
  async count(): Promise<SessionCounts> {
    const [row] = await this.#run(this.#statements.count, []);
    return { sessions: Number(row?.[0]), sessionsWithUser: Number(row?.[1]), users: Number(row?.[2]) };
  }

  /** Ends every session that existed when it was called, also one that is renamed meanwhile. */
  async clear(): Promise<void> {
    let calledAt: number | undefined;
    for (;;) {
      const { removed, startedAt } = await this.#clearOnce(calledAt);
      if (removed === 0) return;
      // A rename may have carried a session behind the walk: again, until a walk finds none as old as the call.
      calledAt ??= startedAt;
    }
  }

  close(): Promise<void> {
    this.#closing ??= withTimeout(this.#endPool(), this.#timeoutMs, "@sojourn/postgres: close");
    return this.#closing;
  }

  /** One walk by id that removes all sessions, or those created no later than `createdBy`. */
  async #clearOnce(createdBy: number | undefined): Promise<{ removed: number; startedAt: number | undefined }> {
    let startedAt: number | undefined;
    let removed = 0;
    let last = "";
    for (;;) {
      const [row] = await this.#run(this.#statements.clear, [last, createdBy, clearBatchSize]);
      const batch = Number(row?.[0]);
      startedAt ??= Number(row?.[2]);
      removed += batch;
      if (batch < clearBatchSize) return { removed, startedAt };
      last = row?.[1] ?? last;
    }
  }

  async #change(
    id: string,
    newId: string | undefined,
    change: SessionChange,
    options: RenameOptions,
  ): Promise<WriteOutcome> {
    assertId(id);
    assertChange(change, options, capabilities);
    const { payload, userId, idleMs } = change;
    const { expectedVersion } = options;
    const limit = typeof userId === "string" ? options.limit : undefined;
    const bytes = payload === undefined ? undefined : Buffer.from(payload);
    if (newId === undefined && userId === undefined && payload !== undefined && bytes !== undefined) {
      const update = { id, payload, bytes, idleMs, expectedVersion };
      return bytes.length > maxPayloadInBatch ? this.#updateOne(update) : this.#updates.write(update);
    }
    const values = [expectedVersion, bytes, userId !== undefined, userId, idleMs];
    const [row] =
      newId === undefined && limit === undefined
        ? await this.#run(this.#statements.update, [id, ...values])
        : await this.#run(this.#statements.change, [id, newId, ...values, ...limitValues(limit)]);
    return readOutcome(row, payload);
  }

  async #updateOne(update: PayloadUpdate, timeoutMs?: number): Promise<WriteOutcome> {
    const { id, payload, bytes, idleMs, expectedVersion } = update;
    const values = [id, expectedVersion, bytes, false, undefined, idleMs];
    const [row] = await this.#run(this.#statements.update, values, timeoutMs);
    return readOutcome(row, payload);
  }

  async #updateAll(updates: readonly PayloadUpdate[], timeoutMs: number): Promise<ReadonlyMap<string, WriteOutcome>> {
    const byId = new Map(updates.map((update) => [update.id, update]));
    const lengths = updates.map(({ bytes }) => bytes.length);
    let end = 1;
    const starts = lengths.map((length) => {
      end += length;
      return end - length;
    });
    const values = [
      [...byId.keys()],
      arrayText(updates.map(({ expectedVersion }) => expectedVersion)),
      Buffer.concat(updates.map(({ bytes }) => bytes)),
      arrayText(starts),
      arrayText(lengths),
      arrayText(updates.map(({ idleMs }) => idleMs)),
    ];
    const rows = await this.#run(this.#statements.updateMany, values, timeoutMs);
    return new Map(
      rows.map((row) => {
        const record = readRecord(row, byId.get(row[0] ?? "")?.payload);
        return [record.id, { status: "written", record, evicted: [] }];
      }),
    );
  }

  async #touchOne({ id, idleMs, shorten }: Touch, timeoutMs: number): Promise<boolean> {
    const rows = await this.#run(this.#statements.touch, [id, idleMs, shorten], timeoutMs);
    return rows.length === 1;
  }

  async #touchAll(touches: readonly Touch[], timeoutMs: number): Promise<ReadonlyMap<string, boolean>> {
    const values = [
      touches.map(({ id }) => id),
      arrayText(touches.map(({ idleMs }) => idleMs)),
      arrayText(touches.map(({ shorten }) => shorten)),
    ];
    const rows = await this.#run(this.#statements.touchMany, values, timeoutMs);
    return new Map(rows.map(([id]) => [id ?? "", true]));
  }

  /** The plan of a single read is kept by its connection; the plan for an array is made anew each time. */
  async #readAll(ids: readonly string[]): Promise<ReadonlyMap<string, () => SessionRecord>> {
    const { get, getMany, getBytes } = this.#statements;
    try {
      const rows = await (ids.length === 1 ? this.#run(get, ids) : this.#run(getMany, [ids]));
      return readersById(rows, (row) => readRecord(row, row[2] ?? ""));
    } catch (error) {
      if (!isNoText(error)) throw error;
      // One payload that is no text, for a NUL in it or because it is corrupt, must not fail the reads of others.
      return readersById(await this.#run(getBytes, [ids]), (row) => readRecord(row));
    }
  }

  async #run(statement: Statement, values: readonly unknown[], timeoutMs?: number): Promise<Row[]> {
    if (this.#closing !== undefined) throw new SessionError("CLOSED", "@sojourn/postgres: the store has been closed");
    return this.#connection.run(statement, values, timeoutMs);
  }
}

/** Not read before its caller asks: one that is corrupt fails that caller alone. */
function readersById(
  rows: readonly Row[],
  read: (row: Row) => SessionRecord,
): ReadonlyMap<string, () => SessionRecord> {
  return new Map(rows.map((row) => [row[0] ?? "", () => read(row)]));
}

/** An array as PostgreSQL reads it; the driver would quote each number. */
function arrayText(values: readonly (number | boolean | undefined)[]): string {
  return `{${values.map((value) => value ?? "NULL").join(",")}}`;
}

function limitValues(limit: SessionLimit | undefined): [max: number | undefined, evict: boolean] {
  return [limit?.max, limit?.whenReached === "evictOldest"];
}
