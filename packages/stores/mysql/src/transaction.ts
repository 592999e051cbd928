import type { Call } from "@sojourn/core/adapter";
import type { Connection, Use } from "./connection.js";
import { askUntilCurrent } from "./currency.js";
import { isReadOnlyTransaction, isWorthRepeating } from "./errors.js";
import type { MySQLConnection, MySQLValue } from "./pool.js";
import type { Row } from "./record.js";
import { boundWaits } from "./sql.js";
import { type Changed, change, isInTransaction, select, send } from "./statement.js";

export const selectAutocommit = "SELECT @@autocommit AS autocommit";

/** Single statements on one connection, whose waits for locks are bounded where the connection says so. */
export class Statements {
  readonly #connection: MySQLConnection;
  readonly #waitSeconds: number | null;

  constructor(connection: MySQLConnection, waitSeconds: number | null) {
    this.#connection = connection;
    this.#waitSeconds = waitSeconds;
  }

  select(sql: string, values: MySQLValue[] = []): Promise<Row[]> {
    return select(this.#connection, boundWaits(sql, this.#waitSeconds), values);
  }

  async change(sql: string, values: MySQLValue[] = []): Promise<Changed> {
    const bounded = boundWaits(sql, this.#waitSeconds);
    try {
      return await change(this.#connection, bounded, values);
    } catch (error) {
      if (!isReadOnlyTransaction(error)) throw error;
      // The connection's transactions are read-only by default. This holds for the next one alone.
      await send(this.#connection, "SET TRANSACTION READ WRITE");
      return change(this.#connection, bounded, values);
    }
  }

  /** Sends text without values: only numbers of the server's own may be part of it. */
  send(sql: string): Promise<Changed> {
    return send(this.#connection, boundWaits(sql, this.#waitSeconds));
  }

  /**
   * Reads by a plain SELECT with a column `autocommit`. Without autocommit the connection may see sessions as they were long
   * ago: then the statement runs again in a transaction of its own. An answer without a row is followed by the question.
   */
  async selectCurrent(sql: string, values: MySQLValue[]): Promise<Row[]> {
    const rows = await askUntilCurrent(() => this.select(sql, values));
    if (await this.#hasAutocommit(rows)) return rows;
    return this.selectInTransaction(sql, values);
  }

  async selectInTransaction(sql: string, values: MySQLValue[]): Promise<Row[]> {
    await this.begin("READ ONLY");
    const rows = await askUntilCurrent(() => this.select(sql, values));
    await this.commit();
    return rows;
  }

  async #hasAutocommit(rows: readonly Row[]): Promise<boolean> {
    const [row] = rows.length === 0 ? await this.select(selectAutocommit) : rows;
    return Number(row?.autocommit) === 1;
  }

  begin(access: "READ ONLY" | "READ WRITE"): Promise<Changed> {
    return send(this.#connection, `START TRANSACTION ${access}`);
  }

  /** Also where the connection's `completion_type` begins another transaction. Not every server knows the long form. */
  async commit(): Promise<void> {
    if (isInTransaction(await send(this.#connection, "COMMIT"))) {
      await send(this.#connection, "COMMIT AND NO CHAIN NO RELEASE");
    }
  }

  /** Commits what a statement by itself has left open, on a connection without autocommit. */
  async settle(changed: Changed): Promise<void> {
    if (isInTransaction(changed)) await this.commit();
  }

  async rollback(): Promise<void> {
    if (isInTransaction(await send(this.#connection, "ROLLBACK"))) {
      await send(this.#connection, "ROLLBACK AND NO CHAIN NO RELEASE");
    }
  }
}

/** Returned by a transaction that is to leave everything as it was. */
export class Undone<T> {
  constructor(readonly result: T) {}
}

/** Runs single statements, each a transaction of its own. */
export function runStatements<T>(
  connection: Connection,
  call: Call,
  run: (statements: Statements) => Promise<T>,
  use?: Use,
): Promise<T> {
  return connection.run(
    call,
    async (lent) => {
      const statements = new Statements(lent, connection.lockWaitSeconds(call));
      try {
        return await run(statements);
      } catch (error) {
        // The connection is used again after such an error, and closed after any other, which undoes as well.
        if (isWorthRepeating(error)) await statements.rollback();
        throw error;
      }
    },
    use,
  );
}

/**
 * Runs statements between START TRANSACTION and COMMIT. Also right on a connection without autocommit, or with a transaction
 * left open, which START TRANSACTION commits.
 */
export function runTransaction<T>(
  connection: Connection,
  call: Call,
  run: (statements: Statements) => Promise<T | Undone<T>>,
): Promise<T> {
  return runStatements(connection, call, async (statements) => {
    await statements.begin("READ WRITE");
    const result = await beforeCommit(call, () => run(statements));
    if (result instanceof Undone) {
      await statements.rollback();
      return result.result;
    }
    await statements.commit();
    return result;
  });
}

/** Nothing is applied without a COMMIT, whatever becomes of the connection. */
async function beforeCommit<T>(call: Call, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    call.sent = false;
    throw error;
  }
}
