import type { Clock } from "../contract/clock.js";
import { type Duration, durationMs } from "../contract/duration.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import type { EventHub, SecurityEvent, SecurityKind } from "./events.js";

/** When `security` events are emitted. */
export interface DetectionOptions {
  /**
   * How many unknown tokens one source may present within the interval before an event is emitted: a positive integer.
   * Sources are distinguished by the `client` of the calls; calls without `client` count as one source. Default 20.
   */
  readonly unknownTokens?: number | undefined;
  /** The shortest time between two events of one kind and source. Default `"1m"`. */
  readonly interval?: Duration | undefined;
}

export interface ResolvedDetection {
  readonly unknownTokens: number;
  readonly intervalMs: number;
}

/** The session, user and source of a report. */
type Occurrence = Pick<SecurityEvent, "id" | "userId" | "source">;

interface Tally {
  readonly kind: SecurityKind;
  readonly occurrence: Occurrence;
  /** The number of reports since the last event. */
  count: number;
  /** Whether an event was emitted in this interval. */
  isReported: boolean;
}

/**
 * The largest number of sources counted one by one in an interval. An attacker can use any number of sources: beyond
 * this one, the sources of one kind are counted together.
 */
const maxTallies = 1_000;

/**
 * Turns frequent reports into few `security` events. It has no timer: reports after an event are counted in the next
 * one.
 */
export class Detection {
  readonly #options: ResolvedDetection;
  readonly #clock: Clock;
  readonly #events: EventHub;
  #tallies = new Map<string, Tally>();
  #intervalStart = Number.NEGATIVE_INFINITY;

  constructor(options: ResolvedDetection, clock: Clock, events: EventHub) {
    this.#options = options;
    this.#clock = clock;
    this.#events = events;
  }

  /** @param source - distinguishes the events of one kind */
  report(kind: SecurityKind, source: string | undefined, occurrence: Occurrence): void {
    this.#startInterval();
    const tally = this.#tally(kind, source, occurrence);
    tally.count++;
    const threshold = kind === "unknownTokens" ? this.#options.unknownTokens : 1;
    if (!tally.isReported && tally.count >= threshold) this.#emit(tally);
  }

  #tally(kind: SecurityKind, source: string | undefined, occurrence: Occurrence): Tally {
    const key = JSON.stringify([kind, source]);
    const known = this.#tallies.get(key);
    if (known !== undefined) return known;
    const isFull = this.#tallies.size >= maxTallies;
    const shared = isFull ? this.#tallies.get(kind) : undefined;
    if (shared !== undefined) return shared;
    const tally = { kind, occurrence: isFull ? {} : occurrence, count: 0, isReported: false };
    this.#tallies.set(isFull ? kind : key, tally);
    return tally;
  }

  #startInterval(): void {
    const now = this.#clock.now();
    // The clock may have been set back.
    if (now >= this.#intervalStart && now < this.#intervalStart + this.#options.intervalMs) return;
    this.#intervalStart = now;
    const tallies = this.#tallies;
    this.#tallies = new Map();
    for (const [key, tally] of tallies) {
      if (!tally.isReported || tally.count === 0) continue;
      this.#tallies.set(key, tally);
      this.#emit(tally);
    }
  }

  #emit(tally: Tally): void {
    const { kind, count, occurrence } = tally;
    tally.count = 0;
    tally.isReported = true;
    this.#events.emit("security", { kind, count, ...occurrence });
  }
}

/** @throws SessionError `INVALID_OPTION` */
export function resolveDetection(options: DetectionOptions = {}): ResolvedDetection {
  if (typeof options !== "object" || options === null) {
    throw invalidOption("@sojourn/core", "detection", "an object", options);
  }
  refuseUnknownOptions("@sojourn/core", options, ["unknownTokens", "interval"]);
  const { unknownTokens = 20, interval = "1m" } = options;
  if (!Number.isSafeInteger(unknownTokens) || unknownTokens < 1) {
    throw invalidOption("@sojourn/core", "detection.unknownTokens", "a positive integer", unknownTokens);
  }
  return { unknownTokens, intervalMs: durationMs(interval, "detection.interval") };
}
