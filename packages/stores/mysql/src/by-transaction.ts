import type {
  Call,
  CreateResult,
  EndedSession,
  NewSession,
  SessionLimit,
  SessionRecord,
  Touch,
  Write,
  WriteOutcome,
} from "@sojourn/core/adapter";
import { type ClearedBatch, type Commands, createdRecord, type SweptBatch, text } from "./commands.js";
import type { Connection, Use } from "./connection.js";
import { askUntilCurrent, mayHaveExpired } from "./currency.js";
import { isDuplicate, lacksSkipLocked } from "./errors.js";
import {
  changedRow,
  isExpired,
  isLive,
  liveOfUser,
  newValues,
  nowOf,
  oldestFirst,
  storedValues,
} from "./locked-rows.js";
import type { Names } from "./names.js";
import type { MySQLValue } from "./pool.js";
import { type Row, readEnded, readId, readRecord } from "./record.js";
import type { Changed } from "./statement.js";
import { runStatements, runTransaction, type Statements, Undone } from "./transaction.js";
import { type TransactionSql, transactionSql } from "./transaction-sql.js";

const isRead: Use = { isRead: true };

/** The sessions that a transaction locks. */
interface Wanted {
  readonly id?: string;
  /** All sessions of this user. */
  readonly userId?: string | undefined;
  /** Whether the payload of the session `id` is needed, also if its version is the expected one. */
  readonly readsPayload?: boolean;
  readonly expectedVersion?: number | undefined;
}

/**
 * Each command by plain statements: for servers without stored procedures, and users who may not create them. The guard
 * rows and the order of locks are the same as in the procedures, so both kinds of nodes may share a table.
 */
export class TransactionCommands implements Commands {
  readonly #connection: Connection;
  readonly #sql: TransactionSql;
  #hasSkipLocked = true;

  constructor(connection: Connection, names: Names) {
    this.#connection = connection;
    this.#sql = transactionSql(names);
  }

  create(session: NewSession, payload: Buffer, limit: SessionLimit | undefined, call: Call): Promise<CreateResult> {
    const { userId } = session;
    if (userId === undefined || limit === undefined) {
      return runStatements(this.#connection, call, (statements) => this.#createUnlimited(statements, session, payload));
    }
    return runTransaction<CreateResult>(this.#connection, call, async (statements) => {
      await this.#lockGuard(statements, userId);
      const rows = await this.#lock(statements, { userId });
      const now = nowOf(rows) ?? (await this.#now(statements));
      const own = liveOfUser(rows, userId, now);
      if (own.some((row) => readId(row) === session.id)) return duplicate;
      const evicted = makeRoom(own, limit);
      if (evicted === undefined) return this.#refused(statements, session.id);
      await this.#remove(statements, evicted);
      const insert = (): Promise<Changed> => statements.change(this.#sql.insert, newValues(session, payload, now));
      if (!(await this.#writeUnique(statements, session.id, insert)).isWritten) return duplicate;
      return { status: "created", record: createdRecord(session, now), evicted: evicted.map(readId) };
    });
  }

  write(write: Write, payload: Buffer | undefined, call: Call): Promise<WriteOutcome> {
    const { id, newId, expectedVersion } = write;
    const userId = gainedUser(write);
    return runTransaction<WriteOutcome>(this.#connection, call, async (statements) => {
      if (userId !== undefined) await this.#lockGuard(statements, userId);
      const lockedAt = performance.now();
      const rows = await this.#lock(statements, { id, userId, readsPayload: payload === undefined, expectedVersion });
      const current = rows.find((row) => readId(row) === id);
      if (current === undefined || isExpired(current)) return missing;
      if (hasOtherVersion(current, write)) return new Undone({ status: "conflict", current: readRecord(id, current) });
      const evicted = roomFor(rows, current, write);
      if (evicted === "duplicate") return duplicate;
      if (evicted === undefined) return this.#refused(statements, newId);
      await this.#remove(statements, evicted);
      const changed = changedRow(current, write, Number(current.now_ms));
      if (!(await this.#store(statements, changed, payload)).isWritten) return duplicate;
      if (await this.#hasExpired(statements, current, lockedAt)) return missing;
      return { status: "written", record: writtenRecord(changed, write), evicted: evicted.map(readId) };
    });
  }

  touch({ id, idleMs, shorten }: Touch, call: Call): Promise<boolean> {
    const deadline = [Number(shorten), idleMs, idleMs];
    return runStatements(this.#connection, call, async (statements) => {
      const changed = await statements.change(this.#sql.touch, [...deadline, ...deadline, Buffer.from(id)]);
      await statements.settle(changed);
      return matchedRows(changed) === 1;
    });
  }

  /** Reads the session, then removes it if it still belongs to the same user, who is part of the answer. */
  destroy(id: string, call: Call): Promise<EndedSession | undefined> {
    return runStatements(this.#connection, call, async (statements) => {
      for (;;) {
        // A transaction that was left open may see sessions as they were long ago.
        await statements.commit();
        const askedAt = performance.now();
        const [row] = await statements.select(this.#sql.find, [Buffer.from(id)]);
        if (row === undefined) {
          await statements.commit();
          return undefined;
        }
        const { userId } = readEnded(row);
        const changed = await statements.change(this.#sql.removeOwned, [Number(row.pk), Buffer.from(id), text(userId)]);
        await statements.settle(changed);
        if (changed.affectedRows === 0) continue;
        return isLive(row) && !mayHaveExpired(row, performance.now() - askedAt) ? { id, userId } : undefined;
      }
    });
  }

  destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]> {
    return runTransaction(this.#connection, call, async (statements) => {
      await this.#lockGuard(statements, userId);
      const rows = await this.#lock(statements, { userId });
      const own = rows.filter((row) => readEnded(row).userId === userId && readId(row) !== except);
      await this.#remove(statements, own);
      return own.filter(isLive).map(readId);
    });
  }

  async sweep(limit: number, call: Call): Promise<SweptBatch> {
    try {
      return await this.#sweep(limit, call);
    } catch (error) {
      if (!this.#hasSkipLocked || !lacksSkipLocked(error)) throw error;
      this.#hasSkipLocked = false;
      return this.#sweep(limit, call);
    }
  }

  clear(upTo: number | undefined, limit: number, call: Call): Promise<ClearedBatch> {
    return runStatements(this.#connection, call, async (statements) => {
      const last = upTo ?? Number((await statements.select(this.#sql.lastKey))[0]?.pk);
      const { affectedRows: removed } = await statements.change(this.#sql.clear(limit), [last]);
      await statements.settle(await statements.change(this.#sql.clearGuards(limit)));
      return { removed, upTo: last };
    });
  }

  get(ids: readonly string[], call: Call): Promise<Row[]> {
    const values = ids.map((id) => Buffer.from(id));
    const select = (statements: Statements): Promise<Row[]> =>
      statements.selectInTransaction(this.#sql.get(ids.length), values);
    return runStatements(this.#connection, call, select, isRead);
  }

  listByUser(userId: string, call: Call): Promise<Row[]> {
    return this.#read(this.#sql.listByUser, [Buffer.from(userId)], call);
  }

  scan(after: number, size: number, call: Call): Promise<Row[]> {
    return this.#read(this.#sql.scan(size), [after], call);
  }

  async count(call: Call): Promise<Row | undefined> {
    const [row] = await this.#read(this.#sql.count, [], call);
    return row;
  }

  #read(sql: string, values: MySQLValue[], call: Call): Promise<Row[]> {
    return runStatements(this.#connection, call, (statements) => statements.selectCurrent(sql, values), isRead);
  }

  async #createUnlimited(statements: Statements, session: NewSession, payload: Buffer): Promise<CreateResult> {
    const now = await this.#now(statements);
    const insert = (): Promise<Changed> => statements.change(this.#sql.insert, newValues(session, payload, now));
    const { isWritten, last } = await this.#writeUnique(statements, session.id, insert);
    await statements.settle(last);
    return isWritten
      ? { status: "created", record: createdRecord(session, now), evicted: [] }
      : { status: "duplicate" };
  }

  async #sweep(limit: number, call: Call): Promise<SweptBatch> {
    return runTransaction<SweptBatch>(this.#connection, call, async (statements) => {
      const due = await statements.select(this.#sql.due(limit, this.#hasSkipLocked));
      const expired = due.filter(isExpired);
      const removed = await this.#remove(statements, expired);
      // Older TiDB ignores SKIP LOCKED, and locks nothing then: another process has removed some of them.
      if (removed !== expired.length) return new Undone({ removed: [], handled: 0 });
      const alive = due.filter(isLive);
      if (alive.length > 0) await statements.send(this.#sql.postpone(alive));
      const unused = await statements.select(this.#sql.unusedGuards(limit, this.#hasSkipLocked));
      if (unused.length > 0) await statements.send(this.#sql.removeGuards(unused));
      return { removed: expired.map(readEnded), handled: due.length };
    });
  }

  #lockGuard(statements: Statements, userId: string): Promise<Changed> {
    return statements.change(this.#sql.lockGuard, [Buffer.from(userId)]);
  }

  /** Returns the rows, locked, with a clock that was read after the last wait for a lock. */
  #lock(statements: Statements, { id, userId, readsPayload, expectedVersion }: Wanted): Promise<Row[]> {
    const payload = id === undefined ? [] : [Buffer.from(id), Number(readsPayload), expectedVersion ?? null];
    const keys = [id, userId].filter((key) => key !== undefined).map((key) => Buffer.from(key));
    const sql = this.#sql.lock(id !== undefined, userId !== undefined);
    return askUntilCurrent(() => statements.select(sql, [...payload, ...keys]));
  }

  async #remove(statements: Statements, rows: readonly Row[]): Promise<number> {
    return rows.length === 0 ? 0 : (await statements.send(this.#sql.remove(rows))).affectedRows;
  }

  #store(statements: Statements, row: Row, payload: Buffer | undefined): Promise<UniqueWrite> {
    const values = storedValues(row);
    return this.#writeUnique(statements, readId(row), () =>
      payload === undefined
        ? statements.change(this.#sql.store, values)
        : statements.change(this.#sql.storeWithPayload, [payload, ...values]),
    );
  }

  /** Writes a row whose id another session may have: a live one stays, an expired one is removed. */
  async #writeUnique(statements: Statements, id: string, write: () => Promise<Changed>): Promise<UniqueWrite> {
    for (;;) {
      try {
        return { isWritten: true, last: await write() };
      } catch (error) {
        if (!isDuplicate(error)) throw error;
      }
      const last = await statements.change(this.#sql.removeExpired, [Buffer.from(id)]);
      if (last.affectedRows === 0) return { isWritten: false, last };
    }
  }

  /** The statements since a session was locked may have waited for other locks until it had expired. */
  async #hasExpired(statements: Statements, row: Row, lockedAt: number): Promise<boolean> {
    if (!mayHaveExpired(row, performance.now() - lockedAt)) return false;
    return Number(row.expires_at) <= (await this.#now(statements));
  }

  /** The limit refuses, unless a live session has the id anyway. */
  async #refused(statements: Statements, id: string | undefined): Promise<Undone<Refused>> {
    const [row] = id === undefined ? [] : await statements.select(this.#sql.find, [Buffer.from(id)]);
    return row !== undefined && isLive(row) ? duplicate : new Undone({ status: "limitReached" });
  }

  async #now(statements: Statements): Promise<number> {
    return nowOf(await statements.select(this.#sql.now)) ?? Number.NaN;
  }
}

interface UniqueWrite {
  /** False where a live session has the id. */
  readonly isWritten: boolean;
  readonly last: Changed;
}

interface Refused {
  readonly status: "duplicate" | "limitReached";
}

const duplicate = new Undone({ status: "duplicate" } as const);
const missing = new Undone({ status: "missing" } as const);

function hasOtherVersion({ version }: Row, { expectedVersion }: Write): boolean {
  return expectedVersion !== undefined && Number(version) !== expectedVersion;
}

/** Returns the record as stored. The row holds the payload before the write, if any. */
function writtenRecord(row: Row, { id, newId, payload }: Write): SessionRecord {
  return readRecord(newId ?? id, payload === undefined ? row : { ...row, payload: null }, payload);
}

/** Returns the user who gains the session under a limit. */
function gainedUser({ limit, userId }: Write): string | undefined {
  return limit === undefined ? undefined : (userId ?? undefined);
}

/** As {@link makeRoom}, for a session that changes hands. A live session may have its new id. */
function roomFor(rows: readonly Row[], current: Row, write: Write): readonly Row[] | "duplicate" | undefined {
  const { id, newId, limit } = write;
  const userId = gainedUser(write);
  if (newId === id) return "duplicate";
  if (limit === undefined || userId === undefined || readEnded(current).userId === userId) return [];
  const own = liveOfUser(rows, userId, Number(current.now_ms));
  return own.some((row) => readId(row) === newId) ? "duplicate" : makeRoom(own, limit);
}

/** Returns the sessions to end so that one more fits, or `undefined` where the limit refuses instead. */
function makeRoom(sessions: readonly Row[], { max, whenReached }: SessionLimit): readonly Row[] | undefined {
  const surplus = Math.max(0, sessions.length + 1 - max);
  if (surplus > 0 && whenReached === "reject") return undefined;
  return [...sessions].sort(oldestFirst).slice(0, surplus);
}

/** `affectedRows` counts what has changed, or what was found, as the pool is set. */
function matchedRows({ affectedRows, info = "" }: Changed): number {
  const matched = /matched: (\d+)/.exec(info)?.[1];
  return matched === undefined ? affectedRows : Number(matched);
}
