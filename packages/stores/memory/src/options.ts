import { type Clock, invalidOption, requireOptions, systemClock } from "@sojourn/core/adapter";

export interface MemoryStoreOptions {
  /** The largest number of sessions: a positive integer. Expired ones count until they are swept. Default 1,000,000. */
  readonly maxSessions?: number | undefined;
  /**
   * The largest memory of the sessions, in bytes, estimated as V8 stores them: an integer of at least 65,536. Expired
   * ones count until they are swept. Default 268,435,456 (256 MiB: half a million sessions of 200 characters).
   */
  readonly maxBytes?: number | undefined;
  /** The clock that judges deadlines. Default: the clock of this process. */
  readonly clock?: Clock | undefined;
}

export interface ResolvedOptions {
  readonly maxSessions: number;
  readonly maxBytes: number;
  /** The largest payload, so that one session always fits into the store. */
  readonly maxPayloadBytes: number;
  readonly clock: Clock;
}

const packageName = "@sojourn/memory";
const minMaxBytes = 65_536;
const largestPayloadBytes = 16 * 1_024 * 1_024;

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: MemoryStoreOptions): ResolvedOptions {
  requireOptions(options, {
    packageName,
    usage: "new MemoryStore() or new MemoryStore({ maxSessions })",
    known: ["maxSessions", "maxBytes", "clock"],
  });
  const { maxSessions = 1_000_000, maxBytes = 256 * 1_024 * 1_024, clock = systemClock } = options;
  if (!Number.isSafeInteger(maxSessions) || maxSessions < 1) {
    throw invalidOption(packageName, "maxSessions", "a positive integer", maxSessions);
  }
  if (!Number.isSafeInteger(maxBytes) || maxBytes < minMaxBytes) {
    throw invalidOption(packageName, "maxBytes", `an integer of at least ${minMaxBytes}`, maxBytes);
  }
  if (typeof clock?.now !== "function") throw invalidOption(packageName, "clock", "a Clock: { now() }", clock);
  // A quarter: V8 may take two bytes for one byte of UTF-8, and the rest leaves room for ids.
  const maxPayloadBytes = Math.min(largestPayloadBytes, Math.floor(maxBytes / 4));
  return { maxSessions, maxBytes, maxPayloadBytes, clock };
}
