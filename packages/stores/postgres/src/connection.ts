import type { Call } from "@sojourn/core/adapter";
import { isWorthRepeating, isWrongIsolation, leavesConnectionIntact } from "./errors.js";
import type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from "./pool.js";
import type { Row } from "./record.js";
import type { Statement } from "./statements.js";

/** The parameters of a statement. A function is called right before each sending: a batch binds its members then. */
export type Values = readonly unknown[] | (() => readonly unknown[]);

interface ConnectionOptions {
  readonly pool: PostgresPool;
  readonly preparedStatements: boolean;
}

/** Another attempt after a deadlock nearly always succeeds: the winner is gone. */
const maxAttempts = 4;

/** Every column comes as text, whatever parsers the application has set for its own queries. */
const types = { getTypeParser: () => (value: string) => value };

/** Sends statements on connections of the pool, within the deadline of their call. */
export class Connection {
  readonly pool: PostgresPool;
  /** Set once transactions turn out to have another isolation level than READ COMMITTED by default. */
  setsIsolation = false;
  readonly #preparedStatements: boolean;

  constructor({ pool, preparedStatements }: ConnectionOptions) {
    this.pool = pool;
    this.#preparedStatements = preparedStatements;
  }

  /** Runs a statement in a transaction of its own. Rejects with the driver's error. */
  run(statement: Statement, values: Values, call: Call): Promise<Row[]> {
    return new Promise((resolve, reject) => new PooledQuery(this, statement, values, call, resolve, reject).connect());
  }

  /** Runs a script of several statements, which must bring its own transaction. */
  async runScript(text: string, call: Call): Promise<void> {
    await new Promise((resolve, reject) => new PooledQuery(this, text, [], call, resolve, reject).connect());
  }

  toQuery({ text, name }: Statement, values: readonly unknown[]): PostgresQuery {
    const query = { text, rowMode: "array" as const, values: [...values], types };
    return this.#preparedStatements ? { ...query, name } : query;
  }
}

/**
 * One statement from the request for a connection to its answer, perhaps with several attempts. Told by callbacks: the
 * promises of `pg`, and a timer for each of them, cost as much as the driver's own work.
 */
class PooledQuery {
  readonly #connection: Connection;
  readonly #source: Statement | string;
  readonly #values: Values;
  readonly #call: Call;
  readonly #resolve: (rows: Row[]) => void;
  readonly #reject: (error: unknown) => void;
  /** While it is lent. */
  #client: PostgresClient | undefined;
  #attempt = 1;
  /** Whether an error leaves a transaction open: that of a script, or the one around a statement. */
  #opensTransaction = false;

  constructor(
    connection: Connection,
    source: Statement | string,
    values: Values,
    call: Call,
    resolve: (rows: Row[]) => void,
    reject: (error: unknown) => void,
  ) {
    this.#connection = connection;
    this.#source = source;
    this.#values = values;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  connect(): void {
    const { pool } = this.#connection;
    this.#call.sent = false;
    callbackify<PostgresClient>(
      (callback) => pool.connect(callback),
      (error, client) => {
        if (client === undefined) this.#reject(error);
        else if (this.#isLate()) client.release();
        else this.#lend(client);
      },
    );
  }

  /** Whether it must not be sent any more. The guard's timer may be due in this very turn of the event loop. */
  #isLate(): boolean {
    return this.#call.over || performance.now() >= this.#call.deadline;
  }

  #lend(client: PostgresClient): void {
    this.#client = client;
    // A connection that breaks while it is lent would otherwise end the process.
    client.on("error", ignore);
    this.#call.onOver = () => this.#giveBack(false);
    const queries = this.#queries();
    this.#call.sent = true;
    this.#send(client, queries, queries.length === 1 ? 0 : 1);
  }

  #queries(): readonly PostgresQuery[] {
    const source = this.#source;
    this.#opensTransaction = true;
    if (typeof source === "string") return [{ text: source, rowMode: "array" }];
    const values = typeof this.#values === "function" ? this.#values() : this.#values;
    const query = this.#connection.toQuery(source, values);
    if (this.#connection.setsIsolation) return [begin, query, commit];
    this.#opensTransaction = false;
    return [query];
  }

  /** Sends the queries one after the other. The answer is that of the one at `main`. */
  #send(client: PostgresClient, queries: readonly PostgresQuery[], main: number, at = 0, rows: Row[] = []): void {
    const query = queries[at];
    if (query === undefined) {
      this.#giveBack(true);
      this.#resolve(rows);
      return;
    }
    callbackify<PostgresResult>(
      (callback) => client.query(query, callback),
      (error, result) => {
        // The call has ended, and the connection with it.
        if (this.#client !== client) return;
        if (error || result === undefined) this.#failed(error);
        // Row mode "array" and the identity as parser leave arrays of text.
        else this.#send(client, queries, main, at + 1, at === main ? (result.rows as Row[]) : rows);
      },
    );
  }

  #failed(error: unknown): void {
    this.#giveBack(!this.#opensTransaction && leavesConnectionIntact(error));
    if (this.#attempt === maxAttempts || !isWorthRepeating(error)) {
      this.#reject(error);
      return;
    }
    if (isWrongIsolation(error)) this.#connection.setsIsolation = true;
    this.#attempt += 1;
    this.connect();
  }

  #giveBack(isIntact: boolean): void {
    this.#call.onOver = undefined;
    this.#client?.removeListener("error", ignore);
    this.#client?.release(!isIntact);
    this.#client = undefined;
  }
}

const begin: PostgresQuery = { text: "BEGIN ISOLATION LEVEL READ COMMITTED", rowMode: "array", values: [] };
const commit: PostgresQuery = { text: "COMMIT", rowMode: "array", values: [] };

type Callback<T> = (error: unknown, answer: T | undefined) => void;

/** Calls `callback` once for a function that answers by callback, by promise, or by both. */
function callbackify<T>(ask: (callback: Callback<T>) => unknown, callback: Callback<T>): void {
  let isAnswered = false;
  const once: Callback<T> = (error, answer) => {
    if (isAnswered) return;
    isAnswered = true;
    callback(error, answer);
  };
  try {
    const promise = ask(once);
    if (!(promise instanceof Object) || !("then" in promise)) return;
    Promise.resolve(promise).then(
      // A wrapper that hands the callback on may resolve with nothing before the callback is called.
      (answer) => answer !== undefined && once(undefined, answer as T),
      (error: unknown) => once(error, undefined),
    );
  } catch (error) {
    once(error, undefined);
  }
}

function ignore(): void {}
