import { DriverStore, defaultTimeoutMs } from "@sojourn/core/adapter";
import memjs from "memjs";
import { MemcachedDriver } from "./driver.js";
import { type MemcachedStoreOptions, parseUrl, resolveOptions } from "./options.js";

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
  static fromUrl(url: string, options: Omit<MemcachedStoreOptions, "client"> = {}): MemcachedStore {
    const { servers, username, password } = parseUrl(url);
    const seconds = (options.timeoutMs ?? defaultTimeoutMs) / 1_000;
    const serverOptions = { timeout: seconds, conntimeout: seconds, keepAlive: true };
    const client = new memjs.Client(
      servers.map(({ host, port }) => new memjs.Server(host, port, username, password, { ...serverOptions })),
      // memjs writes each failure to the console, beside handing it over.
      { failover: false, logger: { log: () => {} } },
    );
    const store = new MemcachedStore({ ...options, client });
    store.driver.ownClient = client;
    return store;
  }
}
