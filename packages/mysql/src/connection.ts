import { setTimeout as delay } from "node:timers/promises";
import { isSessionError, SessionError, withTimeout } from "@sojourn/core";
import { classify, isWorthRepeating } from "./errors.js";
import type { Row } from "./record.js";

/** As much of a pool of `mysql2/promise` as the store uses. */
export interface MySQLPool {
  getConnection(): Promise<MySQLConnection>;
}

/** A connection that the pool has lent. */
export interface MySQLConnection {
  /** What the pool is set to. */
  readonly config?: { readonly typeCast?: unknown };
  /** Prepared on the server, values apart from the text: nothing in a value can become SQL, under any `sql_mode`. */
  execute(query: MySQLQuery, values: MySQLValue[]): Promise<readonly [unknown, unknown]>;
  /** For data definition, which cannot be prepared everywhere. */
  query(sql: string): Promise<unknown>;
  release(): void;
  destroy(): void;
}

/** Text travels as a buffer, so that no character set of the connection touches it. */
export type MySQLValue = Buffer | number | null;

/** A query with the options that fix the form of its rows, whatever the pool is set to. */
export interface MySQLQuery {
  readonly sql: string;
  readonly rowsAsArray: false;
  readonly nestTables: false;
  readonly typeCast: true | ((field: unknown, next: () => unknown) => unknown);
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

/** Runs statements on connections of the pool: in time, repeated where that cures, with errors of ours. */
export class Connection {
  readonly #pool: MySQLPool;
  readonly #timeoutMs: number;

  constructor(pool: MySQLPool, timeoutMs: number) {
    this.#pool = pool;
    this.#timeoutMs = timeoutMs;
  }

  async select({ operation, sql, values, writes }: Statement): Promise<Row[]> {
    const [rows] = await this.#lend(operation, writes, (connection) =>
      connection.execute(query(connection, sql), values),
    );
    // The driver's form for a SELECT, under the options of `query`.
    return rows as Row[];
  }

  /** @returns the result sets of a CALL */
  async call({ operation, sql, values, writes }: Statement): Promise<Row[][]> {
    const [sets] = await this.#lend(operation, writes, (connection) =>
      connection.execute(query(connection, sql), values),
    );
    // The driver's form for a CALL: an array per result set, and last the header of the CALL itself.
    return (sets as unknown[]).slice(0, -1) as Row[][];
  }

  /** Lends a connection that is closed afterwards, so that `use` may change whatever it likes about it. */
  async withOwn<T>(operation: string, timeoutMs: number, use: (connection: MySQLConnection) => Promise<T>): Promise<T> {
    const connection = await this.#connect(operation, performance.now() + this.#timeoutMs);
    try {
      return await withTimeout(use(connection), timeoutMs, `@sojourn/mysql: ${operation}`);
    } catch (error) {
      throw classify(error, operation, true);
    } finally {
      connection.destroy();
    }
  }

  async #lend<T>(operation: string, writes: boolean, use: (connection: MySQLConnection) => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#timeoutMs;
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#connect(operation, deadline);
      const answer = use(connection);
      this.#giveBack(connection, answer);
      try {
        return await withTimeout(answer, remaining(deadline), `@sojourn/mysql: ${operation}`);
      } catch (error) {
        const isLast = attempt === maxAttempts || performance.now() >= deadline;
        if (isLast || !isWorthRepeating(error)) throw classify(error, operation, writes);
      }
      // Those who met do not meet again at once.
      await delay(Math.random() * 2 ** attempt);
    }
  }

  async #connect(operation: string, deadline: number): Promise<MySQLConnection> {
    try {
      const connecting = this.#pool.getConnection();
      return await withTimeout(connecting, remaining(deadline), operation).catch((error: unknown) => {
        // Nobody waits for it any more: it goes back as it came, and nothing is sent.
        connecting.then((late) => late.release(), ignore);
        throw error;
      });
    } catch (error) {
      if (!isSessionError(error, "TIMEOUT")) throw classify(error, operation, false);
      const message = `@sojourn/mysql: ${operation}: no connection within ${this.#timeoutMs} ms; nothing was sent`;
      throw new SessionError("UNAVAILABLE", message);
    }
  }

  /**
   * Gives the connection back when it has answered, be that after the caller's timeout: to close it at once would leave
   * the statement behind on the server, waiting for its lock, and under load a new one for each attempt.
   */
  #giveBack(connection: MySQLConnection, answer: Promise<unknown>): void {
    const giveUp = setTimeout(() => connection.destroy(), this.#timeoutMs + silenceMs).unref();
    answer
      .then(
        () => connection.release(),
        // A procedure undoes its transaction when it fails, but not when it is killed: closing does that in any case.
        (error: unknown) => (isWorthRepeating(error) ? connection.release() : connection.destroy()),
      )
      .finally(() => clearTimeout(giveUp))
      .catch(ignore);
  }
}

/** The query, with the options that fix the form of its rows. */
export function query({ config }: MySQLConnection, sql: string): MySQLQuery {
  // Nothing but another function keeps a function of the pool from the first rows that mysql2 sees of a form.
  const typeCast = typeof config?.typeCast === "function" ? asItComes : true;
  return { sql, rowsAsArray: false, nestTables: false, typeCast };
}

function asItComes(_field: unknown, next: () => unknown): unknown {
  return next();
}

function remaining(deadline: number): number {
  return Math.max(1, Math.ceil(deadline - performance.now()));
}

function ignore(): void {}
