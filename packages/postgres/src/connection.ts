import { isSessionError, SessionError, withTimeout } from "@sojourn/core";
import { classify, isWorthRepeating, isWrongIsolation, leavesConnectionIntact } from "./errors.js";
import type { Row } from "./record.js";
import type { Statement } from "./statements.js";

/** As much of the `Pool` of `pg` as the store uses. */
export interface PostgresPool {
  connect(): Promise<PostgresClient>;
}

/** A connection that the pool has lent. */
export interface PostgresClient {
  query(query: PostgresQuery): Promise<{ readonly rows: unknown[] }>;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** Gives it back, or with `true` closes it. */
  release(destroy?: boolean): void;
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
  readonly #pool: PostgresPool;
  readonly #preparedStatements: boolean;
  readonly #timeoutMs: number;
  /** Set once transactions turn out to have another isolation level than READ COMMITTED by default. */
  #setsIsolation = false;

  constructor({ pool, preparedStatements, timeoutMs }: ConnectionOptions) {
    this.#pool = pool;
    this.#preparedStatements = preparedStatements;
    this.#timeoutMs = timeoutMs;
  }

  /** Runs a statement in a transaction of its own. */
  async run({ operation, text, name }: Statement, values: readonly unknown[]): Promise<Row[]> {
    const query: PostgresQuery = { text, rowMode: "array", values: [...values], types };
    return this.#lend(operation, this.#preparedStatements ? { ...query, name } : query);
  }

  /** Runs a script of several statements, which must bring its own transaction. */
  async runScript(operation: string, text: string): Promise<void> {
    await this.#lend(operation, { text, rowMode: "array" });
  }

  async #lend(operation: string, query: PostgresQuery): Promise<Row[]> {
    const deadline = performance.now() + this.#timeoutMs;
    for (let attempt = 1; ; attempt++) {
      const client = await this.#connect(operation, deadline);
      // A connection that breaks while it is lent would otherwise end the process.
      client.on("error", ignore);
      let intact = false;
      try {
        const rows = await this.#query(client, query, operation, deadline);
        intact = true;
        return rows;
      } catch (error) {
        // A script and a wrapped statement leave their transaction open. After a timeout the connection works for nobody.
        intact = query.values !== undefined && leavesConnectionIntact(error) && !this.#setsIsolation;
        if (attempt === maxAttempts || !isWorthRepeating(error)) throw classify(error, operation, true);
        if (isWrongIsolation(error)) this.#setsIsolation = true;
      } finally {
        client.removeListener("error", ignore);
        client.release(!intact);
      }
    }
  }

  async #connect(operation: string, deadline: number): Promise<PostgresClient> {
    try {
      const connecting = this.#pool.connect();
      return await withTimeout(connecting, remaining(deadline), operation).catch((error: unknown) => {
        // Nobody waits for it any more: it goes back as it came, and nothing is sent.
        connecting.then((late) => late.release(), ignore);
        throw error;
      });
    } catch (error) {
      if (!isSessionError(error, "TIMEOUT")) throw classify(error, operation, false);
      const message = `@sojourn/postgres: ${operation}: no connection within ${this.#timeoutMs} ms; nothing was sent`;
      throw new SessionError("UNAVAILABLE", message);
    }
  }

  async #query(client: PostgresClient, query: PostgresQuery, operation: string, deadline: number): Promise<Row[]> {
    const send = async (sent: PostgresQuery): Promise<Row[]> => {
      const answer = withTimeout(client.query(sent), remaining(deadline), `@sojourn/postgres: ${operation}`);
      // Row mode "array" and the identity as parser leave arrays of text.
      return (await answer).rows as Row[];
    };
    if (!this.#setsIsolation || query.values === undefined) return send(query);
    await send({ text: "BEGIN ISOLATION LEVEL READ COMMITTED", rowMode: "array", values: [] });
    const rows = await send(query);
    await send({ text: "COMMIT", rowMode: "array", values: [] });
    return rows;
  }
}

function remaining(deadline: number): number {
  return Math.max(1, Math.ceil(deadline - performance.now()));
}

function ignore(): void {}
