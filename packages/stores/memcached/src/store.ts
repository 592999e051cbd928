import { DriverStore } from "@sojourn/core/adapter";
import { MemcachedDriver } from "./driver.js";
import { type MemcachedStoreOptions, type MemcachedUrlOptions, resolveOptions } from "./options.js";
import { openClient } from "./own-client.js";

/**
 * Sessions in memcached 1.6 or later, by the driver `memjs`.
 *
 * memcached forgets: a restart or an eviction ends sessions. It never revives one, and never keeps one alive that its
 * user's list does not show. `scan` and `count` reject `NOT_SUPPORTED`.
 *
 * @example
 * ```ts no-run
 * import { SessionManager } from "@sojourn/core";
 * import { MemcachedStore } from "@sojourn/memcached";
 *
 * const store = MemcachedStore.fromUrl("memcached://127.0.0.1:11211");
 * const sessions = new SessionManager({ store, idleTimeout: "30m", absoluteTimeout: "12h" });
 * ```
 */
export class MemcachedStore extends DriverStore<MemcachedDriver> {
  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: MemcachedStoreOptions) {
    super(new MemcachedDriver(resolveOptions(options)));
  }

  /**
   * Opens a store with a client of its own, which `close()` closes.
   *
   * @param url - `memcached://host:port,host2:port2`, with `user:password@` before the first host where servers want SASL
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: MemcachedUrlOptions = {}): MemcachedStore {
    const client = openClient(url, options);
    const { driverOptions: _driverOptions, ...own } = options;
    const store = new MemcachedStore({ ...own, client });
    store.driver.ownClient = client;
    return store;
  }
}
