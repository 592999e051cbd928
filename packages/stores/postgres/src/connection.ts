import type { Call } from "@sojourn/core/adapter";
import { callbackify } from "./callbackify.js";
import { cancelStatement } from "./cancel.js";
import {
  isLostConnection,
  isLostPreparation,
  isUnanswered,
  isWorthRepeating,
  isWrongIsolation,
  leavesConnectionIntact,
} from "./errors.js";
import type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from "./pool.js";
import type { Row } from "./record.js";
import type { Statement } from "./statements.js";
import { PoolTrust } from "./trust.js";

/** The parameters of a statement. A function is called right before each sending: a batch binds its members then. */
export type Values = readonly unknown[] | (() => readonly unknown[]);

interface ConnectionOptions {
  readonly pool: PostgresPool;
  readonly preparedStatements: boolean;
  readonly timeoutMs: number;
}

/** Another attempt after a deadlock nearly always succeeds, because the other transaction has ended. */
const maxAttempts = 4;

/** After so many lost prepared statements, a pooler must be losing them. */
const maxLostPreparations = 3;

/** Returns every column as text, also where the application has set parsers for its own queries. */
const types = { getTypeParser: () => (value: string) => value };

/** Sends statements on connections of the pool, within the deadline of their call. */
export class Connection {
  readonly pool: PostgresPool;
  readonly trust: PoolTrust;
  /** The error of the last attempt to connect; `undefined` once one succeeds. */
  lastError: unknown;
  readonly #preparedStatements: boolean;
  readonly #timeoutMs: number;
  #setsIsolation = false;
  #lostPreparations = 0;

  constructor({ pool, preparedStatements, timeoutMs }: ConnectionOptions) {
    this.pool = pool;
    this.trust = PoolTrust.of(pool);
    this.#preparedStatements = preparedStatements;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether transactions have turned out to have another isolation level than READ COMMITTED by default. */
  get setsIsolation(): boolean {
    return this.#setsIsolation;
  }

  /** Whether statements are prepared and named. Becomes false behind a pooler that loses prepared statements. */
  get preparesStatements(): boolean {
    return this.#preparedStatements && this.#lostPreparations < maxLostPreparations;
  }

  /** Runs a statement in a transaction of its own. Rejects with the driver's error. */
  run(statement: Statement, values: Values, call: Call): Promise<Row[]> {
    return new Promise((resolve, reject) => new PooledQuery(this, statement, values, call, resolve, reject).connect());
  }

  /** Runs a script of several statements that begins and commits a transaction of its own. */
  async runScript(text: string, call: Call): Promise<void> {
    await new Promise((resolve, reject) => new PooledQuery(this, text, [], call, resolve, reject).connect());
  }

  /** Adapts to the server's default isolation level, and to a pooler that loses prepared statements. */
  learn(error: unknown, isRead: boolean): void {
    // A read on a standby gets the same error when it conflicts with replication.
    if (!isRead && isWrongIsolation(error)) this.#setsIsolation = true;
    if (isLostPreparation(error)) this.#lostPreparations += 1;
  }

  /**
   * Gives up a connection whose statement is not answered. It first asks the server to cancel the statement, and keeps the
   * connection's place in the pool until then: so connections never pile up on the server.
   */
  abandon(client: PostgresClient, sentAt: number): void {
    this.trust.suspect(sentAt);
    cancelStatement(client, this.pool, this.#timeoutMs / 2, () => discard(client));
  }
}

/**
 * Runs one statement: requests a connection, sends, and waits for the answer, if need be in several attempts.
 *
 * It uses callbacks, because the promises of `pg` cost as much time as the driver's own work.
 */
class PooledQuery {
  readonly #connection: Connection;
  /** A statement, or a script. */
  readonly #source: Statement | string;
  readonly #values: Values;
  readonly #call: Call;
  readonly #resolve: (rows: Row[]) => void;
  readonly #reject: (error: unknown) => void;
  /** Set while the pool lends it. */
  #client: PostgresClient | undefined;
  #attempt = 1;
  #sentAt = 0;
  /** Whether an error leaves a transaction open, of a script or around a statement. */
  #opensTransaction = false;
  /** Whether the statement may be sent by name. Becomes false when the server does not know the name. */
  #isNamed = true;

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
    const { pool, lastError } = this.#connection;
    this.#call.sent = false;
    this.#call.reason = lastError;
    callbackify<PostgresClient>(
      (callback) => pool.connect(callback),
      (error, client) => this.#connected(error, client),
    );
  }

  #connected(error: unknown, client: PostgresClient | undefined): void {
    const connection = this.#connection;
    connection.lastError = client === undefined ? error : undefined;
    const now = performance.now();
    if (client === undefined) this.#reject(error);
    // The guard's timer may be due in this very turn of the event loop.
    else if (this.#call.over || now >= this.#call.deadline) client.release();
    else if (connection.trust.isSuspect(client)) {
      // Suspect only once: a wrapper around a pool may lend the connection again.
      connection.trust.heard(client);
      discard(client);
      this.connect();
    } else this.#lend(client, now);
  }

  #lend(client: PostgresClient, now: number): void {
    this.#client = client;
    this.#sentAt = now;
    // Without a listener, a connection that breaks now would end the process.
    client.on("error", ignore);
    const abandon = (): void => this.#abandon();
    // Not a literal: V8 would allocate that in the old generation, with everything that it refers to.
    this.#call.onOver = abandon;
    const queries = this.#queries();
    this.#call.sent = true;
    this.#send(client, queries, queries.length === 1 ? 0 : 1);
  }

  #queries(): readonly PostgresQuery[] {
    const source = this.#source;
    this.#opensTransaction = true;
    if (typeof source === "string") return [{ text: source, rowMode: "array" }];
    const { preparesStatements, setsIsolation } = this.#connection;
    const values = typeof this.#values === "function" ? this.#values() : this.#values;
    const unnamed = { text: source.text, rowMode: "array" as const, values: [...values], types };
    const query = preparesStatements && this.#isNamed ? { ...unnamed, name: source.name } : unnamed;
    if (setsIsolation) return [begin, query, commit];
    this.#opensTransaction = false;
    return [query];
  }

  /** Sends the queries one after the other. Resolves with the rows of the query at `main`. */
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
        // The call has ended and has given up the connection.
        if (this.#client !== client) return;
        this.#connection.trust.heard(client);
        if (error || result === undefined) this.#failed(error);
        // With row mode "array" and these parsers, rows are arrays of text.
        else this.#send(client, queries, main, at + 1, at === main ? (result.rows as Row[]) : rows);
      },
    );
  }

  #failed(error: unknown): void {
    if (isUnanswered(error)) this.#abandon();
    else this.#giveBack(!this.#opensTransaction && leavesConnectionIntact(error));
    const isRead = typeof this.#source !== "string" && this.#source.isRead;
    // A connection may have been closed while it was idle. Sending a read twice is safe.
    const isWorthIt = isWorthRepeating(error) || (isRead && this.#attempt === 1 && isLostConnection(error));
    if (this.#attempt === maxAttempts || !isWorthIt) {
      this.#reject(error);
      return;
    }
    this.#connection.learn(error, isRead);
    if (isLostPreparation(error)) this.#isNamed = false;
    this.#attempt += 1;
    this.connect();
  }

  #giveBack(isIntact: boolean): void {
    const client = this.#letGo();
    client?.removeListener("error", ignore);
    client?.release(!isIntact);
  }

  #abandon(): void {
    const client = this.#letGo();
    if (client !== undefined) this.#connection.abandon(client, this.#sentAt);
  }

  #letGo(): PostgresClient | undefined {
    const client = this.#client;
    this.#call.onOver = undefined;
    this.#client = undefined;
    return client;
  }
}

const begin: PostgresQuery = { text: "BEGIN ISOLATION LEVEL READ COMMITTED", rowMode: "array", values: [] };
const commit: PostgresQuery = { text: "COMMIT", rowMode: "array", values: [] };

/** Closes a connection at once. A graceful end would keep the socket of a dead connection open for minutes. */
function discard(client: PostgresClient): void {
  client.removeListener("error", ignore);
  client.connection?.stream?.destroy();
  client.release(true);
}

function ignore(): void {}
