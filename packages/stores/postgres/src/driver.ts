import type {
  Batch,
  BatchLimits,
  Call,
  CreateResult,
  EndedSession,
  ErrorContext,
  NewSession,
  Page,
  Read,
  SessionCounts,
  SessionError,
  SessionLimit,
  SessionRecord,
  StoreCapabilities,
  StoreDriver,
  Touch,
  Write,
  WriteOutcome,
} from "@sojourn/core/adapter";
import { Connection } from "./connection.js";
import { classify, isNoText } from "./errors.js";
import type { ResolvedOptions } from "./options.js";
import { type Row, readEnded, readOutcome, readRecord, tryReadRecord } from "./record.js";
import { ensureSchema } from "./schema-check.js";
import { type Statements, statementsOf } from "./statements.js";

/** An update with a larger payload is sent alone, because its neighbours would wait for it. */
const maxPayloadInBatch = 16 * 1_024;
const clearBatchSize = 2_000;

/** The position of `clear` between two steps. */
interface ClearStep {
  /** The last id of the step before. */
  readonly last: string;
  /** The server's time when the first step ran, in epoch milliseconds. */
  readonly startedAt: number;
  /** Removes only sessions created by then. `undefined` during the first walk, which removes all. */
  readonly createdBy: number | undefined;
  /** Whether this walk has removed any session. */
  readonly hasRemoved: boolean;
}

/** Sessions in a table of PostgreSQL. Each method is one statement. */
export class PostgresDriver implements StoreDriver {
  readonly name = "@sojourn/postgres";
  readonly capabilities: StoreCapabilities = {
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
  /**
   * A hundred commands give most of the gain and keep an answer small. Two write requests keep the server busy while further
   * writes gather; more requests would carry fewer writes each.
   */
  readonly batches: { readonly reads: BatchLimits; readonly writes: BatchLimits } = {
    reads: { max: 100, inFlight: 4 },
    writes: { max: 100, inFlight: 2 },
  };
  readonly timeoutMs: number;
  /** The pool that the store has opened and `close` ends. */
  ownPool: { end(): Promise<void> } | undefined;
  readonly #options: ResolvedOptions;
  readonly #statements: Statements;
  readonly #connection: Connection;
  /** The `sweep_at` at which the next sweep begins, in epoch milliseconds. */
  #sweepFrom = 0;

  constructor(options: ResolvedOptions) {
    this.timeoutMs = options.timeoutMs;
    this.#options = options;
    this.#statements = statementsOf(options.names);
    this.#connection = new Connection(options);
  }

  ensureSchema(call: Call): Promise<void> {
    return ensureSchema(this.#connection, this.#options.names, call);
  }

  async create(session: NewSession, limit: SessionLimit | undefined, call: Call): Promise<CreateResult> {
    const { id, userId, payload, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 } = session;
    const values = [id, userId, Buffer.from(payload), idleMs, absoluteMs, ageMs, inactiveMs, version];
    if (limit === undefined) {
      const [row] = await this.#connection.run(this.#statements.create, values, call);
      if (row === undefined) return { status: "duplicate" };
      return { status: "created", record: readRecord(row, payload), evicted: [] };
    }
    const [row] = await this.#connection.run(this.#statements.createLimited, [...values, ...limitValues(limit)], call);
    const outcome = readOutcome(row, payload);
    if (outcome.status === "written") return { ...outcome, status: "created" };
    return { status: outcome.status === "duplicate" ? "duplicate" : "limitReached" };
  }

  async read(id: string, call: Call): Promise<SessionRecord | undefined> {
    const { get, getBytes } = this.#statements;
    try {
      const [row] = await this.#connection.run(get, [id], call);
      return row && readRecord(row, row[2] ?? "");
    } catch (error) {
      if (!isNoText(error)) throw error;
      const [row] = await this.#connection.run(getBytes, [[id]], call);
      return row && readRecord(row);
    }
  }

  /** A single read is a statement of its own, because its connection keeps the plan. The plan for an array is made each time. */
  async readMany(batch: Batch<string>, call: Call): Promise<ReadonlyMap<string, Read>> {
    const { getMany, getBytes } = this.#statements;
    const values = (): readonly unknown[] => [batch.take()];
    try {
      const rows = await this.#connection.run(getMany, values, call);
      return byId(rows, (row) => tryReadRecord(row, row[2] ?? ""));
    } catch (error) {
      if (!isNoText(error)) throw error;
      // A payload with a NUL, or a corrupt one, cannot be read as text. It must not fail the reads of its neighbours.
      return byId(await this.#connection.run(getBytes, values, call), (row) => tryReadRecord(row));
    }
  }

  async write(write: Write, call: Call): Promise<WriteOutcome> {
    const { id, newId, payload, userId, idleMs, absoluteMs, expectedVersion, limit } = write;
    const values = [expectedVersion, toBytes(payload), userId !== undefined, userId, idleMs];
    const { update, change } = this.#statements;
    const [row] =
      newId === undefined && limit === undefined
        ? await this.#connection.run(update, [id, ...values], call)
        : await this.#connection.run(change, [id, newId, ...values, absoluteMs, ...limitValues(limit)], call);
    return readOutcome(row, payload);
  }

  canBatch({ newId, userId, payload }: Write): boolean {
    if (newId !== undefined || userId !== undefined || payload === undefined) return false;
    return Buffer.byteLength(payload) <= maxPayloadInBatch;
  }

  async writeMany(batch: Batch<Write>, call: Call): Promise<ReadonlyMap<string, WriteOutcome>> {
    const payloads = new Map<string, string>();
    const rows = await this.#connection.run(this.#statements.updateMany, () => updateValues(batch, payloads), call);
    return byId(rows, (row) => {
      const record = readRecord(row, payloads.get(row[0] ?? ""));
      return { status: "written", record, evicted: [] };
    });
  }

  async touch({ id, idleMs, shorten }: Touch, call: Call): Promise<boolean> {
    const rows = await this.#connection.run(this.#statements.touch, [id, idleMs, shorten], call);
    return rows.length === 1;
  }

  async touchMany(batch: Batch<Touch>, call: Call): Promise<ReadonlyMap<string, boolean>> {
    return byId(await this.#connection.run(this.#statements.touchMany, () => touchValues(batch), call), () => true);
  }

  async destroy(id: string, call: Call): Promise<EndedSession | undefined> {
    const [row] = await this.#connection.run(this.#statements.destroy, [id], call);
    // The session may have expired while the statement waited for a lock.
    return row?.[1] === "true" ? { id, userId: row[0] ?? undefined } : undefined;
  }

  async listByUser(userId: string, call: Call): Promise<Read[]> {
    const rows = await this.#connection.run(this.#statements.listByUser, [userId], call);
    return rows.map((row) => tryReadRecord(row));
  }

  async destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]> {
    const rows = await this.#connection.run(this.#statements.destroyByUser, [userId, except], call);
    return rows.map((row) => readEnded(row).id);
  }

  /**
   * One node sweeps at a time. A sweep on another node meanwhile returns nothing.
   *
   * After a full batch the next sweep continues behind it, so that a backlog is walked once. After a batch that is not full
   * the next sweep starts from the beginning, and finds sessions that were locked or were added behind it.
   */
  async sweep(limit: number, call: Call): Promise<EndedSession[]> {
    const rows = await this.#connection.run(this.#statements.sweep, [limit, this.#sweepFrom], call);
    this.#sweepFrom = rows.length < limit ? 0 : Number(rows.at(-1)?.[2]);
    return rows.map(readEnded);
  }

  /** Reads in the order of ids. A session renamed during the walk may be missed, or be seen under both ids. */
  async scan(from: unknown, size: number, call: Call): Promise<Page> {
    const rows = await this.#connection.run(this.#statements.scan, [from ?? "", size], call);
    const records = rows.map((row) => tryReadRecord(row));
    return { records, next: rows.length < size ? undefined : rows.at(-1)?.[0] };
  }

  /** Reads the whole table. Do not call it for each request. */
  async count(call: Call): Promise<SessionCounts> {
    const [row] = await this.#connection.run(this.#statements.count, [], call);
    return { sessions: Number(row?.[0]), sessionsWithUser: Number(row?.[1]), users: Number(row?.[2]) };
  }

  /**
   * Removes a batch of sessions, in the order of ids.
   *
   * A rename may move a session to an id that the walk has passed. So the walk is repeated for sessions as old as the call,
   * until it finds none.
   */
  async clear(from: unknown, call: Call): Promise<ClearStep | undefined> {
    // The guard passes the result of the step before.
    const step = from as ClearStep | undefined;
    const values = [step?.last ?? "", step?.createdBy, clearBatchSize];
    const [row] = await this.#connection.run(this.#statements.clear, values, call);
    const removed = Number(row?.[0]);
    const startedAt = step?.startedAt ?? Number(row?.[2]);
    const hasRemoved = removed > 0 || step?.hasRemoved === true;
    const isWalkOver = removed < clearBatchSize;
    if (isWalkOver && !hasRemoved) return undefined;
    if (isWalkOver) return { last: "", startedAt, createdBy: step?.createdBy ?? startedAt, hasRemoved: false };
    return { last: row?.[1] ?? "", startedAt, createdBy: step?.createdBy, hasRemoved };
  }

  async close(): Promise<void> {
    await this.ownPool?.end();
  }

  classify(error: unknown, context: ErrorContext): SessionError {
    return classify(error, context);
  }
}

/** Returns the parameters of `updateMany`, and stores each payload in `payloads`. */
function updateValues(batch: Batch<Write>, payloads: Map<string, string>): readonly unknown[] {
  const writes = batch.take();
  const bytes: Buffer[] = [];
  const starts: number[] = [];
  const lengths: number[] = [];
  let start = 1;
  for (const { id, payload = "" } of writes) {
    const piece = Buffer.from(payload);
    payloads.set(id, payload);
    bytes.push(piece);
    starts.push(start);
    lengths.push(piece.length);
    start += piece.length;
  }
  return [
    writes.map(({ id }) => id),
    arrayText(writes.map(({ expectedVersion }) => expectedVersion)),
    Buffer.concat(bytes),
    arrayText(starts),
    arrayText(lengths),
    arrayText(writes.map(({ idleMs }) => idleMs)),
  ];
}

function touchValues(batch: Batch<Touch>): readonly unknown[] {
  const touches = batch.take();
  return [
    touches.map(({ id }) => id),
    arrayText(touches.map(({ idleMs }) => idleMs)),
    arrayText(touches.map(({ shorten }) => shorten)),
  ];
}

function byId<Value>(rows: readonly Row[], read: (row: Row) => Value): ReadonlyMap<string, Value> {
  return new Map(rows.map((row) => [row[0] ?? "", read(row)]));
}

/** Returns an array literal of PostgreSQL. The driver would quote each number. */
function arrayText(values: readonly (number | boolean | undefined)[]): string {
  return `{${values.map((value) => value ?? "NULL").join(",")}}`;
}

function toBytes(payload: string | undefined): Buffer | undefined {
  return payload === undefined ? undefined : Buffer.from(payload);
}

function limitValues(limit: SessionLimit | undefined): [max: number | undefined, evict: boolean] {
  return [limit?.max, limit?.whenReached === "evictOldest"];
}
