import type { PostgresClient, PostgresPool } from "./pool.js";

/**
 * Tells which connections of a pool may be dead although they were never closed.
 *
 * A firewall or a dead host drops all connections silently, and the pool then lends the dead connections one after the other.
 * So when a statement is not answered in time, each connection that has not answered since that statement was sent becomes
 * suspect. A suspect connection is closed when the pool lends it, and the pool opens another.
 */
export class PoolTrust {
  /** The time at which each connection was opened, or last answered. */
  readonly #heardAt = new WeakMap<PostgresClient, number>();
  /** Whether the pool reports new connections. An unknown connection is then older than the store. */
  readonly #seesNew: boolean;
  /** A connection that last answered before this moment is suspect. */
  #suspectBefore = Number.NEGATIVE_INFINITY;

  private constructor(pool: PostgresPool) {
    this.#seesNew = typeof pool.on === "function";
    pool.on?.("connect", (client) => this.heard(client));
  }

  /** Returns the instance of a pool. Stores with one pool share it, because they share the connections. */
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
