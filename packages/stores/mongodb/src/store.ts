import { DriverStore, SessionError, type StoreCallOptions } from "@sojourn/core/adapter";
import { MongoDriver } from "./driver.js";
import { type MongoStoreOptions, type MongoUrlOptions, resolveOptions, usage } from "./options.js";
import { openClient } from "./own-client.js";

/**
 * Sessions in a collection of MongoDB, by the official driver: one document each, changed by single atomic updates.
 *
 * The indexes are created before the first session is; {@link MongoStore.ensureSchema} does it earlier.
 */
export class MongoStore extends DriverStore<MongoDriver> {
  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: MongoStoreOptions) {
    super(new MongoDriver(resolveOptions(options)));
  }

  /**
   * Opens a store with a client of its own, which `close()` closes.
   *
   * @param url - `mongodb://user:password@host/database`, with the parameters that the driver knows
   * @throws SessionError `INVALID_OPTION`
   */
  static fromUrl(url: string, options: MongoUrlOptions = {}): MongoStore {
    const client = openClient(url, options);
    const { driverOptions: _driverOptions, ...own } = options;
    const store = new MongoStore({ ...own, client });
    store.driver.ownClient = client;
    return store;
  }

  /**
   * Creates the indexes that are missing, and checks the rights that later calls need. Call it at start, also from many
   * processes at once.
   *
   * Not required: the first `create` or `rename` creates the indexes, too, but then a missing right shows late.
   *
   * @throws SessionError `BACKEND` names the right that is missing, or the index that differs; `UNAVAILABLE`, `TIMEOUT`
   */
  ensureSchema(call?: StoreCallOptions): Promise<void> {
    return this.run("ensureSchema", (running) => this.driver.ensureSchema(running), call);
  }
}

// The factory of connect-mongo, for a message that names ours. Not declared: it is no method of this class.
Object.defineProperty(MongoStore, "create", {
  value: () => {
    throw new SessionError("INVALID_OPTION", `@sojourn/mongodb: there is no MongoStore.create; write ${usage}`);
  },
});
