import { type Clock, invalidOption, refuseUnknownOptions, systemClock } from "@sojourn/core/adapter";

export interface MemoryStoreOptions {
  /** The most sessions held: a positive integer. Expired ones count until they are swept. Default 1,000,000. */
  readonly maxSessions?: number | undefined;
  /**
   * The most memory that the sessions may take, in bytes, estimated as V8 keeps them: an integer of at least 65,536.
   * Expired ones count until they are swept. Default 268,435,456 (256 MiB: half a million sessions of 200 characters).
   */
  readonly maxBytes?: number | undefined;
  /** What judges deadlines. Default: the clock of this process. */
  readonly clock?: Clock | undefined;
}

export interface ResolvedOptions {
  readonly maxSessions: number;
  readonly maxBytes: number;
  /** One session never takes more than the store has. */
  readonly maxPayloadBytes: number;
  readonly clock: Clock;
}

const packageName = "@sojourn/memory";
const minMaxBytes = 65_536;
const largestPayloadBytes = 16 * 1_024 * 1_024;

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: MemoryStoreOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(packageName, "options", "an object", options);
  }
  refuseUnknownOptions(packageName, options, ["maxSessions", "maxBytes", "clock"]);
  const { maxSessions = 1_000_000, maxBytes = 256 * 1_024 * 1_024, clock = systemClock } = options;
  if (!Number.isSafeInteger(maxSessions) || maxSessions < 1) {
    throw invalidOption(packageName, "maxSessions", "a positive integer", maxSessions);
  }
  if (!Number.isSafeInteger(maxBytes) || maxBytes < minMaxBytes) {
    throw invalidOption(packageName, "maxBytes", `an integer of at least ${minMaxBytes}`, maxBytes);
  }
  if (typeof clock?.now !== "function") throw invalidOption(packageName, "clock", "a Clock: { now() }", clock);
  // A quarter, because V8 may take two bytes for what UTF-8 takes one for, and the rest of a session is room for.
  const maxPayloadBytes = Math.min(largestPayloadBytes, Math.floor(maxBytes / 4));
  return { maxSessions, maxBytes, maxPayloadBytes, clock };
}
