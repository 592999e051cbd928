import type { Clock } from "@sojourn/core/adapter";

/** A clock that is corrected by less is not set. */
const toleranceMs = 100;

/**
 * Counts milliseconds that never go back. The monotonic clock stands still while a machine is suspended; the wall clock then
 * goes on, and this clock follows it. It also follows a wall clock that is set forward, and copies then age at once.
 */
export class AgeClock implements Clock {
  #suspendedMs = 0;
  #lead: number = Date.now() - performance.now();

  now(): number {
    const monotonic = performance.now();
    const lead = Date.now() - monotonic;
    const moved = lead - this.#lead;
    if (moved > toleranceMs) this.#suspendedMs += moved;
    if (Math.abs(moved) > toleranceMs) this.#lead = lead;
    return monotonic + this.#suspendedMs;
  }
}
