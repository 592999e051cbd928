import { DriverStore } from "@sojourn/core/adapter";
import { MemoryDriver } from "./driver.js";
import { type MemoryStoreOptions, resolveOptions } from "./options.js";

/**
 * Sessions in the memory of this process: the embedded default, for one process and for tests.
 *
 * Every operation is one synchronous step. Bounded by a number of sessions and of bytes: expired sessions make room first,
 * then the least recently used ones, each of which `onEvicted` reports. A `SessionManager` sweeps the store; without one,
 * use core's `Sweeper`.
 *
 * @example
 * ```ts
 * import { SessionManager } from "@sojourn/core";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const manager = new SessionManager({ store: new MemoryStore({ maxSessions: 100_000 }) });
 * ```
 */
export class MemoryStore extends DriverStore<MemoryDriver> {
  declare readonly peek: NonNullable<DriverStore["peek"]>;
  declare readonly onEvicted: NonNullable<DriverStore["onEvicted"]>;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: MemoryStoreOptions = {}) {
    super(new MemoryDriver(resolveOptions(options)));
  }
}
