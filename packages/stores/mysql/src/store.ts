import type { Socket } from "node:net";
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
import { createPool, type Pool } from "mysql2/promise";
import { Connection, type MySQLValue } from "./connection.js";
import type { Names } from "./names.js";
import { assertUrl, invalidUrl, type MySQLStoreOptions, resolveOptions } from "./options.js";
import { selectSessions } from "./procedures/reading.js";
import type { Verb } from "./procedures.js";
import { type Row, readEnded, readId, readRecord, readRecords } from "./record.js";
import { createSchema } from "./schema.js";

const capabilities: StoreCapabilities = {
  expiryPrecisionMs: 1,
  expiry: "sweep",
  clock: "server",
  scan: true,
  count: true,
  userIndex: "atomic",
  limit: "atomic",
  clear: "enumerate",
  // What a MEDIUMBLOB holds. The server's max_allowed_packet may be less: see #assertFits.
  maxPayloadBytes: 16_777_215,
};

/** Up to this size a payload is sent unasked: no server in use has a smaller max_allowed_packet. */
const alwaysFitsBytes = 65_536;
/** What a request holds beside the payload: three ids at most, numbers and framing. */
const requestOverheadBytes = 4_096;

/** A statement is prepared for each number of ids that it takes, so there are few. */
const readBatchSizes = [1, 4, 16, 64];
const maxReadsInFlight = 4;

const removalBatchSize = 1_000;
const defaultScanBatchSize = 500;

/**
 * Sessions in a table of MySQL 8 or MariaDB 10.6 and later, by the driver `mysql2`. Each operation is one round trip, but
 * a read that finds nothing.
 *
 * The table must exist: call {@link MySQLStore.ensureSchema} at start, or run what `schemaSql` answers.
 */
export class MySQLStore implements SessionStore {
  readonly capabilities: StoreCapabilities = capabilities;
  readonly #names: Names;
  readonly #connection: Connection;
  readonly #timeoutMs: number;
  readonly #reads: ReadBatch<Row>;
  readonly #statements = new Map<string, string>();
  #endPool: () => Promise<void> = async () => {};
  #destroySockets: () => void = () => {};
  #closing: Promise<void> | undefined;
  #maxPacketBytes: number | undefined;
  /** False once a connection of the pool has turned out to have none. */
  #hasAutocommit = true;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: MySQLStoreOptions) {
    const { pool, names, timeoutMs } = resolveOptions(options);
    this.#names = names;
    this.#connection = new Connection(pool, timeoutMs);
    this.#timeoutMs = timeoutMs;
    this.#reads = new ReadBatch({ maxIds: Math.max(...readBatchSizes), maxInFlight: maxReadsInFlight }, (ids) =>
      this.#readMany(ids),
    );
  }

  /**
   * A store with a pool of its own, of ten connections unless the URL says otherwise, which `close()` ends.
   *
   * @param url - `mysql://user:password@host:3306/database`, with the parameters that `mysql2` knows
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: Omit<MySQLStoreOptions, "pool"> = {}): MySQLStore {
    assertUrl(url);
    const pool = openPool(url);
    const store = new MySQLStore({ ...options, pool });
    const sockets = socketsOf(pool);
    store.#endPool = async () => {
      await pool.end();
      // The farewell is on its way. A server that does not hear it would otherwise keep the process alive.
      for (const socket of sockets) socket.destroySoon();
    };
    store.#destroySockets = () => {
      for (const socket of sockets) socket.destroy();
    };
    return store;
  }

  /**
   * Creates the tables and procedures that are missing. Call it at start, from as many processes as you like: they wait
   * for each other.
   *
   * Where everything is there already it changes nothing and needs no right to create anything. Takes up to 30 s, whatever
   * `timeoutMs` says.
   *
   * @throws SessionError `BACKEND` without the rights, or where a table of the name is not one of Sojourn's; `UNAVAILABLE`, `TIMEOUT`
   */
  async ensureSchema(): Promise<void> {
    this.#assertOpen();
    await createSchema(this.#connection, this.#names);
  }

  async create(session: NewSession, options: CreateOptions = {}): Promise<CreateResult> {
    assertNewSession(session, options, capabilities);
    const { id, userId, payload, idleMs, absoluteMs } = session;
    const bytes = await this.#fitting(payload);
    const [ended, outcome] = await this.#write("create", "create", [
      Buffer.from(id),
      text(userId),
      bytes,
      idleMs,
      absoluteMs,
      ...limitValues(options.limit),
    ]);
    if (outcome.outcome === "duplicate") return { status: "duplicate" };
    if (outcome.outcome === "limitReached") return { status: "limitReached" };
    const now = Number(outcome.now_ms);
    const record: SessionRecord = {
      id,
      userId,
      payload,
      version: 1,
      createdAt: now,
      lastActiveAt: now,
      expiresAt: now + Math.min(idleMs, absoluteMs),
      endsAt: now + absoluteMs,
      now,
    };
    return { status: "created", record, evicted: idsOf(ended) };
  }

  /** Reads asked for in one tick travel as one statement; a second one when it finds nothing. */
  async get(id: string): Promise<SessionRecord | undefined> {
    assertId(id);
    this.#assertOpen();
    const row = await withTimeout(this.#reads.read(id), this.#timeoutMs, "@sojourn/mysql: get");
    return row === undefined ? undefined : readRecord(id, row);
  }

  async update(id: string, change: SessionChange, options: UpdateOptions = {}): Promise<UpdateResult> {
    const result = await this.#change("update", id, undefined, change, options);
    if (result.status === "renamed") return { ...result, status: "updated" };
    // Without a new id nothing can be a duplicate.
    return result.status === "duplicate" ? { status: "missing" } : result;
  }

  async touch(id: string, options: TouchOptions): Promise<boolean> {
    assertTouch(id, options);
    const values = [Buffer.from(id), options.idleMs, Number(options.shorten === true)];
    const [, outcome] = await this.#write("touch", "touch", values);
    return Number(outcome.is_live) === 1;
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
    const [, outcome] = await this.#write("destroy", "destroy", [Buffer.from(id)]);
    return Number(outcome.is_live) === 1 ? { id, userId: readEnded(outcome).userId } : undefined;
  }

  async listByUser(userId: string, options: ReadManyOptions = {}): Promise<SessionRecord[]> {
    assertId(userId, "userId");
    return readRecords(await this.#read("listByUser", "list_by_user", [Buffer.from(userId)]), options);
  }

  async destroyByUser(userId: string, { except }: DestroyByUserOptions = {}): Promise<string[]> {
    assertId(userId, "userId");
    if (except !== undefined) assertId(except, "except");
    const [ended] = await this.#write("destroyByUser", "destroy_by_user", [Buffer.from(userId), text(except)]);
    return idsOf(ended);
  }

  /** One process at a time sweeps a table: while another one does, this answers that nothing was removed. */
  async sweep(options: SweepOptions): Promise<EndedSession[]> {
    assertSweep(options);
    const removed: EndedSession[] = [];
    while (removed.length < options.limit) {
      const batchSize = Math.min(options.limit - removed.length, removalBatchSize);
      const [ended, outcome] = await this.#write("sweep", "sweep", [batchSize]);
      removed.push(...ended.map(readEnded));
      // Fewer than asked for were due, or the rest is locked and left for the next time.
      if (Number(outcome.handled) < batchSize) break;
    }
    return removed;
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<SessionRecord, void, undefined> {
    assertScan(options);
    const { batchSize = defaultScanBatchSize } = options;
    let after = 0;
    for (;;) {
      const rows = await this.#read("scan", "scan", [after, batchSize]);
      yield* readRecords(rows, options);
      if (rows.length < batchSize) return;
      after = Number(rows.at(-1)?.pk);
    }
  }

  async count(): Promise<SessionCounts> {
    const [row] = await this.#read("count", "count", []);
    return {
      sessions: Number(row?.sessions),
      sessionsWithUser: Number(row?.sessions_with_user),
      users: Number(row?.users),
    };
  }

  async clear(): Promise<void> {
    let upTo: number | null = null;
    let outcome: Row;
    do {
      [, outcome] = await this.#write("clear", "clear", [upTo, removalBatchSize]);
      upTo = Number(outcome.up_to);
    } while (Number(outcome.removed) === removalBatchSize);
  }

  /** Ends the pool that `fromUrl` opened. A pool that was handed in stays open: it belongs to who opened it. */
  close(): Promise<void> {
    this.#closing ??= withTimeout(this.#endPool(), this.#timeoutMs, "@sojourn/mysql: close").catch(() => {
      // Calls in flight have had their time.
      this.#destroySockets();
    });
    return this.#closing;
  }

  async #change(
    operation: string,
    id: string,
    newId: string | undefined,
    change: SessionChange,
    options: RenameOptions,
  ): Promise<RenameResult> {
    assertId(id);
    assertChange(change, options, capabilities);
    const { payload, userId, idleMs } = change;
    const [ended, row] = await this.#write(operation, "change", [
      Buffer.from(id),
      text(newId),
      Number(payload !== undefined),
      payload === undefined ? null : await this.#fitting(payload),
      Number(userId !== undefined),
      text(userId),
      idleMs ?? null,
      options.expectedVersion ?? null,
      ...limitValues(options.limit),
    ]);
    switch (row.outcome) {
      case "written":
        return { status: "renamed", record: readRecord(newId ?? id, row, payload), evicted: idsOf(ended) };
      case "conflict":
        return { status: "conflict", current: readRecord(id, row) };
      case "duplicate":
      case "limitReached":
        return { status: row.outcome };
      default:
        return { status: "missing" };
    }
  }

  async #read(operation: string, verb: Verb, values: MySQLValue[]): Promise<Row[]> {
    const [rows = []] = await this.#call(operation, verb, values, false);
    return rows;
  }

  async #readMany(ids: readonly string[]): Promise<Map<string, Row>> {
    const selected = this.#hasAutocommit ? await this.#selectMany(ids) : undefined;
    this.#hasAutocommit = selected !== undefined;
    // A procedure begins a transaction of its own.
    const rows = selected ?? (await Promise.all(ids.map((id) => this.#read("get", "get", [Buffer.from(id)])))).flat();
    return new Map(rows.map((row) => [readId(row), row]));
  }

  #selectMany(ids: readonly string[]): Promise<Row[] | undefined> {
    const size = readBatchSizes.find((each) => ids.length <= each) ?? ids.length;
    // The places left over ask for the first id again.
    const values = Array.from({ length: size }, (_, index) => Buffer.from(ids[index] ?? ids[0] ?? ""));
    const sql = this.#sql(`select ${size}`, () => selectSessions(this.#names, size));
    return this.#connection.selectCommitted({ operation: "get", sql, values, writes: false });
  }

  /** @returns a row for each session that ended, and the outcome */
  async #write(operation: string, verb: Verb, values: MySQLValue[]): Promise<[ended: Row[], outcome: Row]> {
    const rows = (await this.#call(operation, verb, values, true)).flat();
    const outcome = rows.pop();
    if (outcome !== undefined) return [rows, outcome];
    throw new SessionError("BACKEND", `@sojourn/mysql: ${operation}: the procedure answered nothing`);
  }

  #call(operation: string, verb: Verb, values: MySQLValue[], writes: boolean): Promise<Row[][]> {
    this.#assertOpen();
    const sql = this.#sql(verb, () => `CALL ${this.#names.procedure(verb)}(${values.map(() => "?").join(", ")})`);
    return this.#connection.call({ operation, sql, values, writes });
  }

  /** Each text is made once. */
  #sql(name: string, make: () => string): string {
    const known = this.#statements.get(name) ?? make();
    this.#statements.set(name, known);
    return known;
  }

  /** A request beyond max_allowed_packet would cost the connection, and those after it their turn. */
  async #fitting(payload: string): Promise<Buffer> {
    const bytes = Buffer.from(payload);
    if (bytes.length <= alwaysFitsBytes) return bytes;
    this.#assertOpen();
    this.#maxPacketBytes ??= await this.#readMaxPacketBytes();
    const limit = this.#maxPacketBytes - requestOverheadBytes;
    if (bytes.length <= limit) return bytes;
    const message = `@sojourn/mysql: a payload of ${bytes.length} bytes exceeds the ${limit} bytes that max_allowed_packet of this server allows`;
    throw new SessionError("PAYLOAD_TOO_LARGE", message);
  }

  async #readMaxPacketBytes(): Promise<number> {
    const sql = "SELECT @@max_allowed_packet AS bytes";
    const [row] = await this.#connection.select({ operation: "max_allowed_packet", sql, values: [], writes: false });
    return Number(row?.bytes);
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new SessionError("CLOSED", "@sojourn/mysql: the store has been closed");
  }
}

function openPool(url: string): Pool {
  try {
    return createPool({ uri: url });
  } catch {
    // What the driver says of it may show it.
    throw invalidUrl(url);
  }
}

/** The sockets that the pool has open at any time. */
function socketsOf(pool: Pool): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  pool.on("connection", (connection) => {
    // mysql2 declares no type for its socket, which is public in fact.
    const { stream } = connection as unknown as { stream: Socket };
    sockets.add(stream);
    stream.once("close", () => sockets.delete(stream));
  });
  return sockets;
}

function text(value: string | null | undefined): Buffer | null {
  return value === undefined || value === null ? null : Buffer.from(value);
}

function limitValues(limit: SessionLimit | undefined): [max: number | null, evict: number] {
  return [limit?.max ?? null, Number(limit?.whenReached === "evictOldest")];
}

function idsOf(rows: readonly Row[]): string[] {
  return rows.map((row) => readEnded(row).id);
}
