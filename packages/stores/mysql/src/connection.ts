import type { Call } from "@sojourn/core/adapter";
import { isConnectionLost, isReadOnly, isUnsent, isWorthRepeating } from "./errors.js";
import type { MySQLConnection, MySQLPool } from "./pool.js";

/** How many times one call may send its statements. */
const maxAttempts = 6;

/** How long lock waits are bounded on the server after a statement got no answer in time. */
const boundedForMs = 60_000;

/** A use of a connection. */
export interface Use {
  /** A read is sent again when its connection turns out to be lost. */
  readonly isRead?: boolean;
  /** Closes the connection afterwards, so that the use may change its settings. */
  readonly isLast?: boolean;
}

/**
 * Lends connections of the pool to calls.
 *
 * A connection that gives no answer by the deadline of its call is closed: its packets may be dropped, and it would block a
 * place of the pool. Idle connections that have not answered since are closed when they would be lent next.
 */
export class Connection {
  readonly #pool: MySQLPool;
  /** When a connection last answered, by `performance.now()`. */
  readonly #answeredAt = new WeakMap<MySQLConnection, number>();
  /** Connections that have not answered since this moment may be lost, or lead to a server that is the primary no more. */
  #suspectBefore = Number.NEGATIVE_INFINITY;
  #boundedUntil = Number.NEGATIVE_INFINITY;
  #lastError: Error | undefined;

  constructor(pool: MySQLPool) {
    this.#pool = pool;
  }

  /**
   * Returns how many seconds a statement may wait for a lock on the server, or null for as long as the server is set to.
   *
   * The server goes on with a statement whose connection was closed. After a statement without an answer all statements are
   * bounded for a while, so that abandoned ones end soon and do not pile up. Not always: the bound costs a tenth of a read.
   */
  lockWaitSeconds({ deadline }: Call): number | null {
    const now = performance.now();
    return now < this.#boundedUntil ? Math.max(1, Math.ceil((deadline - now) / 1_000)) : null;
  }

  /** Runs statements on one connection, again where another attempt helps. Settles at the latest when the call is over. */
  async run<T>(
    call: Call,
    use: (connection: MySQLConnection) => Promise<T>,
    { isRead = false, isLast = false }: Use = {},
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const connection = await this.#lend(call);
      try {
        return await this.#use(connection, call, use, isLast);
      } catch (error) {
        const isRepeated = isWorthRepeating(error) || isUnsent(error) || (isRead && isConnectionLost(error));
        if (call.over || !isRepeated || attempt === maxAttempts) throw error;
      }
    }
  }

  /** Stays pending when the pool lends nothing in time: the guard answers at the deadline. */
  #lend(call: Call): Promise<MySQLConnection> {
    call.sent = false;
    call.reason = this.#lastError;
    return new Promise((resolve, reject) => {
      const end = (): void => reject(new Error("The call has ended"));
      if (call.over) return end();
      call.onOver = end;
      this.#ask(call, resolve, reject);
    });
  }

  #ask(call: Call, resolve: (connection: MySQLConnection) => void, reject: (error: Error) => void): void {
    this.#pool.getConnection((error, connection) => {
      if (error) {
        this.#lastError = error;
        reject(error);
      } else if (this.#isSuspect(connection)) {
        connection.destroy();
        if (!call.over) this.#ask(call, resolve, reject);
      } else if (call.over || performance.now() >= call.deadline) connection.release();
      else {
        this.#lastError = undefined;
        resolve(connection);
      }
    });
  }

  #use<T>(
    connection: MySQLConnection,
    call: Call,
    use: (connection: MySQLConnection) => Promise<T>,
    isLast: boolean,
  ): Promise<T> {
    const sentAt = performance.now();
    call.sent = true;
    return new Promise((resolve, reject) => {
      const abandon = (): void => {
        connection.destroy();
        this.#boundedUntil = performance.now() + boundedForMs;
        this.#suspectBefore = Math.max(this.#suspectBefore, sentAt);
        // mysql2 does not answer the statement of a connection that is destroyed.
        reject(new Error("The connection gave no answer in time"));
      };
      // Not assigned as it stands: V8 allocates a function literal assigned to a property in the old generation, and keeps
      // everything that it refers to until the next full collection.
      call.onOver = abandon;
      use(connection).then(
        (answer) => {
          if (call.over) return;
          call.onOver = undefined;
          this.#giveBack(connection, isLast);
          resolve(answer);
        },
        (error: unknown) => {
          if (call.over) return;
          call.onOver = undefined;
          // A procedure undoes its transaction when it fails, but not when it is killed: closing does that in any case.
          this.#giveBack(connection, isLast || !isWorthRepeating(error));
          if (isConnectionLost(error) || isReadOnly(error)) this.#suspectBefore = Math.max(this.#suspectBefore, sentAt);
          reject(error);
        },
      );
    });
  }

  #giveBack(connection: MySQLConnection, closes: boolean): void {
    if (closes) connection.destroy();
    else {
      this.#answeredAt.set(connection, performance.now());
      connection.release();
    }
  }

  #isSuspect(connection: MySQLConnection): boolean {
    if (this.#suspectBefore === Number.NEGATIVE_INFINITY) return false;
    const { lastActiveTime = Number.POSITIVE_INFINITY } = connection;
    const answeredAt = this.#answeredAt.get(connection) ?? lastActiveTime - performance.timeOrigin;
    return answeredAt < this.#suspectBefore;
  }
}
