/** The assumed drift between two clocks: far more than that of sound hardware. */
const drift = 0.000_2;

/**
 * Estimates the clock of a server without a request for each reading.
 *
 * A server's time was read between the request and the arrival of its response, so each response bounds the difference
 * of the two clocks. Between responses, the monotonic clock of this process carries the bounds on. The wall clock of
 * this process plays no part.
 */
export class ServerClock {
  /** The server's time minus `performance.now()`: at least, at most. */
  #least = Number.NEGATIVE_INFINITY;
  #most = Number.POSITIVE_INFINITY;
  #observedAt = Number.NEGATIVE_INFINITY;

  /**
   * Takes an answer of the server into account.
   *
   * @param serverTime - epoch milliseconds
   * @param askedAt - when the answer was asked for, by `performance.now()`
   * @param resolutionMs - the server cuts its time to multiples of this. Default 1
   * @returns false when the answer contradicts the earlier ones: a clock was set, or another server answers
   */
  observe(serverTime: number, askedAt: number, resolutionMs = 1): boolean {
    const now = performance.now();
    const drifted = this.#driftedBy(now);
    const knownLeast = this.#least - drifted;
    const knownMost = this.#most + drifted;
    const least = serverTime - now;
    const most = serverTime + resolutionMs - askedAt;
    const isConsistent = least <= knownMost && most >= knownLeast;
    this.#least = isConsistent ? Math.max(least, knownLeast) : least;
    this.#most = isConsistent ? Math.min(most, knownMost) : most;
    this.#observedAt = now;
    return isConsistent;
  }

  /** Returns how long ago the server last told its time, in milliseconds. */
  ageMs(): number {
    return performance.now() - this.#observedAt;
  }

  /** Returns the width of the estimate in milliseconds: infinite before the first answer. */
  uncertaintyMs(): number {
    return this.#most - this.#least + 2 * this.#driftedBy(performance.now());
  }

  /** Returns the earliest that the server's clock can show, in epoch milliseconds: never ahead of the server. */
  earliest(): number {
    const now = performance.now();
    return Math.floor(now + this.#least - this.#driftedBy(now));
  }

  /** Returns the latest that the server's clock can show, in epoch milliseconds: never behind the server. */
  latest(): number {
    const now = performance.now();
    return Math.ceil(now + this.#most + this.#driftedBy(now));
  }

  #driftedBy(now: number): number {
    return this.#observedAt === Number.NEGATIVE_INFINITY ? 0 : (now - this.#observedAt) * drift;
  }
}
