import { setTimeout as delay } from "node:timers/promises";
import { isSessionError, SessionError, withTimeout } from "@sojourn/core/adapter";
import { classify, isWorthRepeating } from "./errors.js";
import type { Row } from "./record.js";

/**
 * As much of a pool of `mysql2` as the store uses. Callbacks, because connections that answer by promise cost a fifth of
 * a read more: mysql2 wraps each one whenever it is lent, and keeps a stack trace for each call.
 */
export interface MySQLPool {
  getConnection(callback: (error: Error | null, connection: MySQLConnection) => void): void;
  /** What tells it from a pool of promises. */
  promise(): unknown;
}

/** A connection that the pool has lent. */
export interface MySQLConnection {
  /** The form of its rows where a query names none. */
  readonly config?: { readonly [Option in keyof RowForm]?: unknown };
  /** Prepared on the server, values apart from the text: nothing in a value can become SQL, under any `sql_mode`. */
  execute(query: string | MySQLQuery, values: MySQLValue[], callback: MySQLCallback): unknown;
  /** For data definition, which cannot be prepared everywhere. */
  query(sql: string, callback: MySQLCallback): unknown;
  release(): void;
  destroy(): void;
}

export type MySQLCallback = (error: Error | null, rows: unknown) => void;

/** Text travels as a buffer, so that no character set of the connection touches it. */
export type MySQLValue = Buffer | number | null;

/** The form of rows that this package reads. */
export interface RowForm {
  readonly rowsAsArray: false;
  readonly nestTables: false;
  readonly typeCast: true | ((field: unknown, next: () => unknown) => unknown);
}

/** A query that fixes the form of its rows, whatever the pool is set to. */
export interface MySQLQuery extends RowForm {
  readonly sql: string;
}

export interface Statement {
  /** The verb of the contract, for messages. */
  readonly operation: string;
  readonly sql: string;
  readonly values: MySQLValue[];
  readonly writes: boolean;
}

/** Transactions that stand in each other's way are undone and repeated so often. */
const maxAttempts = 6;

/** A connection that says nothing for this long after a timeout is given up: the network has swallowed it. */
const silenceMs = 30_000;

const selectAutocommit = "SELECT @@autocommit AS autocommit";

/** Runs statements on connections of the pool: in time, repeated where that cures, with errors of ours. */
export class Connection {
  readonly #pool: MySQLPool;
  readonly #timeoutMs: number;

  constructor(pool: MySQLPool, timeoutMs: number) {
    this.#pool = pool;
    this.#timeoutMs = timeoutMs;
  }

  async select(statement: Statement): Promise<Row[]> {
    return this.#run(statement, (connection) => select(connection, statement.sql, statement.values));
  }

  /**
   * The rows of a SELECT that has a column `autocommit`, or `undefined` where the connection has none: there it may see
   * what a transaction saw that was begun long ago. One that answers no row is asked, each time: whoever used it in between
   * may have changed it.
   */
  async selectCommitted(statement: Statement): Promise<Row[] | undefined> {
    return this.#run(statement, async (connection) => {
      const rows = await select(connection, statement.sql, statement.values);
      const [row] = rows.length === 0 ? await select(connection, selectAutocommit, []) : rows;
      return Number(row?.autocommit) === 1 ? rows : undefined;
    });
  }

  /** @returns the result sets of a CALL */
  async call(statement: Statement): Promise<Row[][]> {
    const sets = await this.#run(statement, (connection) => execute(connection, statement.sql, statement.values));
    // The driver's form for a CALL: an array per result set, and last the header of the CALL itself.
    return (sets as unknown[]).slice(0, -1) as Row[][];
  }

  /** Lends a connection that is closed afterwards, so that `use` may change whatever it likes about it. */
  async withOwn<T>(operation: string, timeoutMs: number, use: (connection: MySQLConnection) => Promise<T>): Promise<T> {
    const connection = await this.#lend(operation, performance.now() + this.#timeoutMs);
    try {
      return await withTimeout(use(connection), timeoutMs, `@sojourn/mysql: ${operation}`);
    } catch (error) {
      throw classify(error, operation, true);
    } finally {
      connection.destroy();
    }
  }

  async #run<T>({ operation, writes }: Statement, use: (connection: MySQLConnection) => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#timeoutMs;
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#lend(operation, deadline);
      try {
        return await this.#answer(connection, use, operation, deadline);
      } catch (error) {
        const isLast = attempt === maxAttempts || performance.now() >= deadline;
        if (isLast || !isWorthRepeating(error)) throw classify(error, operation, writes);
      }
      // Those who met do not meet again at once.
      await delay(Math.random() * 2 ** attempt);
    }
  }

  #lend(operation: string, deadline: number): Promise<MySQLConnection> {
    return new Promise((resolve, reject) => {
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        const message = `@sojourn/mysql: ${operation}: no connection within ${this.#timeoutMs} ms; nothing was sent`;
        reject(new SessionError("UNAVAILABLE", message));
      }, remaining(deadline));
      this.#pool.getConnection((error, connection) => {
        clearTimeout(timer);
        if (error) reject(classify(error, operation, false));
        // Nobody waits for it any more: it goes back as it came, and nothing is sent.
        else if (isLate) connection.release();
        else resolve(connection);
      });
    });
  }

  /**
   * Uses a connection, and gives it back when it has answered, be that after the caller's timeout: to close it at once
   * would leave the statement behind on the server, waiting for its lock, and under load a new one for each attempt.
   */
  async #answer<T>(
    connection: MySQLConnection,
    use: (connection: MySQLConnection) => Promise<T>,
    operation: string,
    deadline: number,
  ): Promise<T> {
    let silence: NodeJS.Timeout | undefined;
    const giveBack = (isSound: boolean): void => {
      clearTimeout(silence);
      if (isSound) connection.release();
      else connection.destroy();
    };
    const answer = use(connection);
    answer.then(
      () => giveBack(true),
      // A procedure undoes its transaction when it fails, but not when it is killed: closing does that in any case.
      (error: unknown) => giveBack(isWorthRepeating(error)),
    );
    try {
      return await withTimeout(answer, remaining(deadline), `@sojourn/mysql: ${operation}`);
    } catch (error) {
      if (isSessionError(error, "TIMEOUT")) silence = setTimeout(() => connection.destroy(), silenceMs).unref();
      throw error;
    }
  }
}

/** Sends a statement, and answers as the driver does. */
export function execute(connection: MySQLConnection, sql: string, values: MySQLValue[]): Promise<unknown> {
  const query = inOurForm(sql, connection.config ?? {});
  return new Promise((resolve, reject) => {
    connection.execute(query, values, (error, rows) => (error ? reject(error) : resolve(rows)));
  });
}

/** A query with options costs mysql2 a fifth of a read: only where the connection's own form is another. */
function inOurForm(sql: string, own: NonNullable<MySQLConnection["config"]>): string | MySQLQuery {
  if (!own.rowsAsArray && !own.nestTables && own.typeCast === true) return sql;
  // Nothing but another function keeps a function of the pool from the first rows that mysql2 sees of a form.
  const typeCast = typeof own.typeCast === "function" ? asItComes : true;
  return { sql, rowsAsArray: false, nestTables: false, typeCast };
}

function asItComes(_field: unknown, next: () => unknown): unknown {
  return next();
}

export async function select(connection: MySQLConnection, sql: string, values: MySQLValue[]): Promise<Row[]> {
  // The driver's form for a SELECT.
  return (await execute(connection, sql, values)) as Row[];
}

function remaining(deadline: number): number {
  return Math.max(1, Math.ceil(deadline - performance.now()));
}
