import { DriverStore, type StoreCallOptions } from "@sojourn/core/adapter";
import { PostgresDriver } from "./driver.js";
import { openPool, type PostgresUrlOptions } from "./from-url.js";
import { type PostgresStoreOptions, resolveOptions } from "./options.js";

/**
 * Sessions in a table of PostgreSQL 13 or later, by the driver `pg`. Each operation is one round trip.
 *
 * The table must exist: call {@link PostgresStore.ensureSchema} at start, or run the SQL of `schemaSql`.
 */
export class PostgresStore extends DriverStore<PostgresDriver> {
  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: PostgresStoreOptions) {
    super(new PostgresDriver(resolveOptions(options)));
  }

  /**
   * Creates a store with a pool of its own, which `close()` ends. The pool opens at most ten connections.
   *
   * @param url - `postgres://user:password@host:5432/database`, with the parameters that `pg` knows
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: PostgresUrlOptions = {}): PostgresStore {
    const pool = openPool(url, options);
    const { driverOptions: _driverOptions, credentials: _credentials, ...own } = options;
    const store = new PostgresStore({ ...own, pool });
    store.driver.ownPool = pool;
    return store;
  }

  /**
   * Creates schema, table, indexes and functions where they are missing, and checks the rights that later calls need. Call it
   * at start, from any number of processes: they wait for each other.
   *
   * Where everything exists it changes nothing, and needs no right to create anything.
   *
   * @throws SessionError `BACKEND` that names the missing right, or in a database whose encoding is not UTF8
   */
  ensureSchema(call?: StoreCallOptions): Promise<void> {
    return this.run("ensureSchema", (running) => this.driver.ensureSchema(running), call);
  }
}
