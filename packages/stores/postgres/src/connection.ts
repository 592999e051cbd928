import { SessionError } from "@sojourn/core/adapter";
import { classify, isWorthRepeating, isWrongIsolation, leavesConnectionIntact } from "./errors.js";
import type { Row } from "./record.js";
import type { Statement } from "./statements.js";

/**
 * As much of the `Pool` of `pg` as the store uses. A wrapper that answers by promise alone, the pool or its clients, is taken
 * as well.
 */
export interface PostgresPool {
  connect(callback: (error: Error | undefined, client: PostgresClient | undefined) => void): unknown;
}

/** A connection that the pool has lent. */
export interface PostgresClient {
  query(query: PostgresQuery, callback: (error: Error | null, result: PostgresResult | undefined) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** Gives it back, or with `true` closes it. */
  release(destroy?: boolean): void;
}

export interface PostgresResult {
  readonly rows: unknown[];
}

/** A query as `pg` takes it. */
export interface PostgresQuery {
  readonly text: string;
  readonly rowMode: "array";
  readonly name?: string;
  // pg's own declarations ask for a mutable array.
  readonly values?: unknown[];
  readonly types?: { getTypeParser(): (value: string) => string };
}

interface ConnectionOptions {
  readonly pool: PostgresPool;
  readonly preparedStatements: boolean;
  readonly timeoutMs: number;
}

/** Another attempt after a deadlock nearly always succeeds: the winner is gone. */
const maxAttempts = 4;

/** Every column comes as text, whatever parsers the application has set for its own queries. */
const types = { getTypeParser: () => (value: string) => value };

/** Runs statements on connections of the pool: in time, repeated where that cures, with errors of ours. */
export class Connection {
  readonly pool: PostgresPool;
  readonly timeoutMs: number;
  /** Set once transactions turn out to have another isolation level than READ COMMITTED by default. */
  setsIsolation = false;
  readonly #preparedStatements: boolean;

  constructor({ pool, preparedStatements, timeoutMs }: ConnectionOptions) {
    this.pool = pool;
    this.timeoutMs = timeoutMs;
    this.#preparedStatements = preparedStatements;
  }

  /** Runs a statement in a transaction of its own. */
  run(
    { operation, text, name }: Statement,
    values: readonly unknown[],
    timeoutMs: number = this.timeoutMs,
  ): Promise<Row[]> {
    const query = this.#preparedStatements
      ? { text, rowMode: "array" as const, values: [...values], types, name }
      : { text, rowMode: "array" as const, values: [...values], types };
    return new Promise((resolve, reject) => new Errand(this, operation, query, resolve, reject).start(timeoutMs));
  }

  /** Runs a script of several statements, which must bring its own transaction. */
  async runScript(operation: string, text: string): Promise<void> {
    const query: PostgresQuery = { text, rowMode: "array" };
    await new Promise((resolve, reject) => new Errand(this, operation, query, resolve, reject).start(this.timeoutMs));
  }
}

/**
 * One statement from the wish for a connection to its answer, perhaps with several attempts. Told by callbacks: the promises
 * of `pg`, and a timer for each of them, cost as much as the driver's own work.
 */
class Errand {
  readonly #connection: Connection;
  readonly #operation: string;
  readonly #query: PostgresQuery;
  readonly #resolve: (rows: Row[]) => void;
  readonly #reject: (error: SessionError) => void;
  #timer: NodeJS.Timeout | undefined;
  /** While it is lent. */
  #client: PostgresClient | undefined;
  #attempt = 1;
  #isOver = false;

  constructor(
    connection: Connection,
    operation: string,
    query: PostgresQuery,
    resolve: (rows: Row[]) => void,
    reject: (error: SessionError) => void,
  ) {
    this.#connection = connection;
    this.#operation = operation;
    this.#query = query;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(timeoutMs: number): void {
    this.#timer = setTimeout(() => this.#giveUp(), timeoutMs);
    this.#connect();
  }

  #connect(): void {
    const { pool } = this.#connection;
    ask<PostgresClient>(
      (callback) => pool.connect(callback),
      (error, client) => {
        // Nobody waits for it any more: it goes back as it came, and nothing is sent.
        if (this.#isOver) client?.release();
        else if (client === undefined) this.#fail(classify(error, this.#operation, false));
        else this.#lend(client);
      },
    );
  }

  #lend(client: PostgresClient): void {
    this.#client = client;
    // A connection that breaks while it is lent would otherwise end the process.
    client.on("error", ignore);
    const wraps = this.#connection.setsIsolation && this.#query.values !== undefined;
    this.#send(client, wraps ? [begin, this.#query, commit] : [this.#query]);
  }

  /** One after the other; the answer is that of the query itself. */
  #send(client: PostgresClient, [next, ...others]: readonly PostgresQuery[], answer: Row[] = []): void {
    if (next === undefined) {
      this.#giveBack(true);
      this.#end();
      this.#resolve(answer);
      return;
    }
    ask<PostgresResult>(
      (callback) => client.query(next, callback),
      (error, result) => {
        if (this.#isOver) return;
        if (error || result === undefined) this.#failed(error);
        // Row mode "array" and the identity as parser leave arrays of text.
        else this.#send(client, others, next === this.#query ? (result.rows as Row[]) : answer);
      },
    );
  }

  #failed(error: unknown): void {
    // A script and a wrapped statement leave their transaction open.
    const isOne = this.#query.values !== undefined && !this.#connection.setsIsolation;
    this.#giveBack(isOne && leavesConnectionIntact(error));
    if (this.#attempt === maxAttempts || !isWorthRepeating(error)) {
      this.#fail(classify(error, this.#operation, true));
      return;
    }
    if (isWrongIsolation(error)) this.#connection.setsIsolation = true;
    this.#attempt += 1;
    this.#connect();
  }

  #giveUp(): void {
    const { timeoutMs } = this.#connection;
    const prefix = `@sojourn/postgres: ${this.#operation}`;
    if (this.#client === undefined) {
      this.#fail(new SessionError("UNAVAILABLE", `${prefix}: no connection within ${timeoutMs} ms; nothing was sent`));
      return;
    }
    // The connection works for nobody.
    this.#giveBack(false);
    const message = `${prefix} was not answered within ${timeoutMs} ms; whether a write was applied is unknown`;
    this.#fail(new SessionError("TIMEOUT", message));
  }

  #giveBack(intact: boolean): void {
    this.#client?.removeListener("error", ignore);
    this.#client?.release(!intact);
    this.#client = undefined;
  }

  #fail(error: SessionError): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }
}

const begin: PostgresQuery = { text: "BEGIN ISOLATION LEVEL READ COMMITTED", rowMode: "array", values: [] };
const commit: PostgresQuery = { text: "COMMIT", rowMode: "array", values: [] };

type Answered<T> = (error: unknown, answer: T | undefined) => void;

/** Asks by callback, and hears a promise as well; what answers by both, or twice, is heard once. */
function ask<T>(question: (callback: Answered<T>) => unknown, done: Answered<T>): void {
  let isAnswered = false;
  const hear: Answered<T> = (error, answer) => {
    if (isAnswered) return;
    isAnswered = true;
    done(error, answer);
  };
  try {
    const promise = question(hear);
    if (!(promise instanceof Object) || !("then" in promise)) return;
    Promise.resolve(promise).then(
      // One that hands the callback on may answer nothing by its promise, before the callback is called.
      (answer) => answer !== undefined && hear(undefined, answer as T),
      (error: unknown) => hear(error, undefined),
    );
  } catch (error) {
    hear(error, undefined);
  }
}

function ignore(): void {}
