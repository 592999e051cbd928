import { assertUrlOptions, DriverStore, type StoreCallOptions } from "@sojourn/core/adapter";
import { MySQLDriver } from "./driver.js";
import {
  type MySQLStoreOptions,
  type MySQLUrlOptions,
  packageName,
  resolveOptions,
  resolveTimeout,
  urlOptions,
} from "./options.js";
import { OwnPool } from "./own-pool.js";
import { creationTimeoutMs } from "./schema.js";
import { poolOptionsOf } from "./url.js";

/**
 * Sessions in a table of MySQL 8 or MariaDB 10.6 and later, by the driver `mysql2`. Each operation is one round trip, but
 * a read that finds nothing. Servers without stored procedures serve as well, at up to five round trips a write.
 *
 * The table must exist: call {@link MySQLStore.ensureSchema} at start, or run the SQL of `schemaSql`.
 *
 * @example
 * ```ts no-run
 * import { SessionManager } from "@sojourn/core";
 * import { MySQLStore } from "@sojourn/mysql";
 *
 * const store = MySQLStore.fromUrl("mysql://app@localhost/app");
 * await store.ensureSchema();
 * const sessions = new SessionManager({ store, idleTimeout: "30m", absoluteTimeout: "12h" });
 * ```
 */
export class MySQLStore extends DriverStore<MySQLDriver> {
  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: MySQLStoreOptions) {
    super(new MySQLDriver(resolveOptions(options)));
  }

  /**
   * Opens a store with a pool of its own, of ten connections unless URL or `driverOptions` say otherwise, which `close()` ends.
   *
   * @param url - `mysql://user:password@host:3306/database`, with parameters of `mysql2` and with `ssl-mode`, `ssl-ca`,
   * `ssl-cert`, `ssl-key`, `sslmode` or `sslaccept`
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: MySQLUrlOptions = {}): MySQLStore {
    assertUrlOptions(packageName, options, urlOptions);
    const { driverOptions, credentials, ...own } = options;
    const connectTimeout = resolveTimeout(own.timeoutMs);
    const ownPool = new OwnPool({ connectTimeout, ...poolOptionsOf(url, driverOptions) }, credentials);
    const store = new MySQLStore({ ...own, pool: ownPool.pool });
    store.driver.ownPool = ownPool;
    return store;
  }

  /**
   * Creates the tables and procedures that are missing, and checks the privileges that later calls need. Call it at start,
   * also from many processes at once: they wait for each other.
   *
   * Where everything is there already it changes nothing and needs no privilege to create anything. Takes up to 30 s unless
   * `call` says otherwise.
   *
   * @throws SessionError `BACKEND` naming the privilege that is missing, or where a table of the name is not one of
   * Sojourn's; `UNAVAILABLE`, `TIMEOUT`
   */
  ensureSchema(call: StoreCallOptions = {}): Promise<void> {
    const bounds = { timeoutMs: creationTimeoutMs, ...call };
    return this.run("ensureSchema", (running) => this.driver.ensureSchema(running), bounds);
  }
}
