import type { PostgresClient, PostgresPool } from "./pool.js";

/**
 * Knows which connections of a pool may be dead without having been closed.
 *
 * A firewall or a dead host drops all connections at once and without a word, and the pool then lends the dead ones one after
 * the other. So when a statement is not answered in time, every connection that has not answered since it was sent is
 * suspect: it is closed at its next use, and the pool opens another.
 */
export class PoolTrust {
  /** When each connection last answered, or was opened. */
  readonly #heardAt = new WeakMap<PostgresClient, number>();
  /** Whether the pool tells of new connections: one that is unknown is then older than the store. */
  readonly #seesNew: boolean;
  /** A connection that last answered before this moment is suspect. */
  #suspectBefore = Number.NEGATIVE_INFINITY;

  private constructor(pool: PostgresPool) {
    this.#seesNew = typeof pool.on === "function";
    pool.on?.("connect", (client) => this.heard(client));
  }

  /** Returns the one of this pool: stores that share a pool share its connections. */
  static of(pool: PostgresPool): PoolTrust {
    const trust = known.get(pool) ?? new PoolTrust(pool);
    known.set(pool, trust);
    return trust;
  }

  heard(client: PostgresClient): void {
    this.#heardAt.set(client, performance.now());
  }

  /** Suspects every connection that has not answered since `sentAt`. */
  suspect(sentAt: number): void {
    this.#suspectBefore = Math.max(this.#suspectBefore, sentAt);
  }

  isSuspect(client: PostgresClient): boolean {
    const unknown = this.#seesNew ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    return (this.#heardAt.get(client) ?? unknown) < this.#suspectBefore;
  }
}

const known = new WeakMap<PostgresPool, PoolTrust>();
