import {
  type Clock,
  type Duration,
  durationMs,
  invalidOption,
  refuseUnknownOptions,
  type SessionBus,
  type SessionStore,
} from "@sojourn/core/adapter";
import { AgeClock } from "./age-clock.js";

/** The size of the copies in this process. */
export interface CopyLimits {
  /** The most sessions: a positive integer. Default 10,000. */
  readonly maxEntries?: number | undefined;
  /** The most bytes of payloads, ids and user ids: a positive integer. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
}

export interface TieredStoreOptions {
  /** The store of the sessions. It must read from the primary: a replica that lags brings ended sessions back. */
  readonly l2: SessionStore;
  /**
   * Tells this process of ends and changes in other processes. Copies are used only while it is up. Without it, the copies
   * are up to `maxStale` old. It stays yours: close it after the store.
   */
  readonly bus?: SessionBus | undefined;
  /**
   * The greatest age of a copy, from when its read was sent: how long another process' change may stay unseen when its message
   * is lost. Default `"10s"` with a bus, `"1s"` without.
   */
  readonly maxStale?: Duration | undefined;
  readonly l1?: CopyLimits | undefined;
  /** The time by which copies age, for tests. Default: the monotonic clock, and time in which the machine was suspended. */
  readonly clock?: Clock | undefined;
}

export interface ResolvedOptions {
  readonly l2: SessionStore;
  readonly bus: SessionBus | undefined;
  readonly maxStaleMs: number;
  readonly maxEntries: number;
  readonly maxBytes: number;
  readonly clock: Clock;
}

const packageName = "@sojourn/tiered";

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: TieredStoreOptions): ResolvedOptions {
  refuseUnknownOptions(packageName, options, ["l2", "bus", "maxStale", "l1", "clock"]);
  const { l2, bus, maxStale = bus === undefined ? "1s" : "10s", l1 = {}, clock = new AgeClock() } = options;
  if (typeof l2?.get !== "function") throw invalidOption(packageName, "l2", "a session store", l2);
  if (bus !== undefined && typeof bus?.subscribe !== "function") {
    throw invalidOption(packageName, "bus", "a session bus", bus);
  }
  if (typeof l1 !== "object" || l1 === null) throw invalidOption(packageName, "l1", "an object", l1);
  refuseUnknownOptions(`${packageName}: l1`, l1, ["maxEntries", "maxBytes"]);
  const { maxEntries = 10_000, maxBytes = 64 * 2 ** 20 } = l1;
  for (const [name, value] of Object.entries({ maxEntries, maxBytes })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw invalidOption(packageName, `l1.${name}`, "a positive integer", value);
    }
  }
  if (typeof clock?.now !== "function") throw invalidOption(packageName, "clock", "an object with now()", clock);
  return { l2, bus, maxStaleMs: durationMs(maxStale, "maxStale"), maxEntries, maxBytes, clock };
}
