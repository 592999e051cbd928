import {
  type Call,
  type CreateResult,
  type EndedSession,
  type NewSession,
  SessionError,
  type SessionLimit,
  type Touch,
  type Write,
  type WriteOutcome,
} from "@sojourn/core/adapter";
import { type ClearedBatch, type Commands, createdRecord, type SweptBatch, text } from "./commands.js";
import type { Connection, Use } from "./connection.js";
import { askUntilCurrent } from "./currency.js";
import { type Names, type Procedure, procedureNames } from "./names.js";
import type { MySQLValue } from "./pool.js";
import { type Row, readEnded, readRecord } from "./record.js";
import { call as callProcedure } from "./statement.js";

const isRead: Use = { isRead: true };

/** Each command by a stored procedure: one round trip. */
export class ProcedureCommands implements Commands {
  readonly #connection: Connection;
  readonly #statements: ReadonlyMap<Procedure, string>;

  constructor(connection: Connection, names: Names) {
    this.#connection = connection;
    this.#statements = new Map(procedureNames.map((name) => [name, `CALL ${names.procedure(name)}`]));
  }

  async create(
    session: NewSession,
    payload: Buffer,
    limit: SessionLimit | undefined,
    call: Call,
  ): Promise<CreateResult> {
    const { id, userId, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 } = session;
    const lifetime = [idleMs, absoluteMs, ageMs, inactiveMs, version];
    const values = [Buffer.from(id), text(userId), payload, ...lifetime, ...limitValues(limit)];
    const [ended, { outcome, now_ms: now }] = await this.#write("create", values, call);
    if (outcome === "duplicate" || outcome === "limitReached") return { status: outcome };
    return { status: "created", record: createdRecord(session, Number(now)), evicted: idsOf(ended) };
  }

  async write(write: Write, payload: Buffer | undefined, call: Call): Promise<WriteOutcome> {
    const { id, newId, userId, idleMs = null, absoluteMs = null, expectedVersion = null, limit } = write;
    const [ended, row] = await this.#write(
      "change",
      [
        Buffer.from(id),
        text(newId),
        Number(payload !== undefined),
        payload ?? null,
        Number(userId !== undefined),
        text(userId),
        idleMs,
        absoluteMs,
        expectedVersion,
        ...limitValues(limit),
      ],
      call,
    );
    switch (row.outcome) {
      case "written":
        return { status: "written", record: readRecord(newId ?? id, row, write.payload), evicted: idsOf(ended) };
      case "conflict":
        return { status: "conflict", current: readRecord(id, row) };
      case "duplicate":
      case "limitReached":
        return { status: row.outcome };
      default:
        return { status: "missing" };
    }
  }

  async touch({ id, idleMs, shorten }: Touch, call: Call): Promise<boolean> {
    const [, outcome] = await this.#write("touch", [Buffer.from(id), idleMs, Number(shorten)], call);
    return Number(outcome.is_live) === 1;
  }

  async destroy(id: string, call: Call): Promise<EndedSession | undefined> {
    const [, outcome] = await this.#write("destroy", [Buffer.from(id)], call);
    return Number(outcome.is_live) === 1 ? { id, userId: readEnded(outcome).userId } : undefined;
  }

  async destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]> {
    const [ended] = await this.#write("destroy_by_user", [Buffer.from(userId), text(except)], call);
    return idsOf(ended);
  }

  /** One process at a time sweeps a table: while another one does, nothing is removed. */
  async sweep(limit: number, call: Call): Promise<SweptBatch> {
    const [ended, { handled }] = await this.#write("sweep", [limit], call);
    return { removed: ended.map(readEnded), handled: Number(handled) };
  }

  async clear(upTo: number | undefined, limit: number, call: Call): Promise<ClearedBatch> {
    const [, outcome] = await this.#write("clear", [upTo ?? null, limit], call);
    return { removed: Number(outcome.removed), upTo: Number(outcome.up_to) };
  }

  async get(ids: readonly string[], call: Call): Promise<Row[]> {
    const rows: Row[] = [];
    for (const id of ids) rows.push(...(await this.#read("get", [Buffer.from(id)], call)));
    return rows;
  }

  listByUser(userId: string, call: Call): Promise<Row[]> {
    return this.#read("list_by_user", [Buffer.from(userId)], call);
  }

  scan(after: number, size: number, call: Call): Promise<Row[]> {
    return this.#read("scan", [after, size], call);
  }

  async count(call: Call): Promise<Row | undefined> {
    const [[row] = []] = await this.#call("count", [], call, isRead);
    return row;
  }

  async #read(procedure: Procedure, values: readonly MySQLValue[], call: Call): Promise<Row[]> {
    return askUntilCurrent(async () => (await this.#call(procedure, values, call, isRead))[0] ?? []);
  }

  /** @returns a row for each session that ended, and the outcome */
  async #write(procedure: Procedure, values: readonly MySQLValue[], call: Call): Promise<[ended: Row[], outcome: Row]> {
    const rows = (await this.#call(procedure, values, call)).flat();
    const outcome = rows.pop();
    if (outcome !== undefined) return [rows, outcome];
    throw new SessionError("BACKEND", `@sojourn/mysql: ${call.operation}: the procedure returned nothing`);
  }

  #call(procedure: Procedure, values: readonly MySQLValue[], call: Call, use?: Use): Promise<Row[][]> {
    const sql = `${this.#statements.get(procedure)}(${"?, ".repeat(values.length)}?)`;
    return this.#connection.run(
      call,
      (connection) => callProcedure(connection, sql, [...values, this.#connection.lockWaitSeconds(call)]),
      use,
    );
  }
}

function limitValues(limit: SessionLimit | undefined): [max: number | null, evict: number] {
  return [limit?.max ?? null, Number(limit?.whenReached === "evictOldest")];
}

function idsOf(rows: readonly Row[]): string[] {
  return rows.map((row) => readEnded(row).id);
}
