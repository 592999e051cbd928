/** An estimate serves so long before a read asks the server again, and asks again sooner when it is less certain. */
const freshForMs = 1_000;
const certainWithinMs = 5;

/**
 * What the server's clock shows, without asking it each time.
 *
 * Every script answers with the server's time. In between this process's monotonic clock carries it on, so the wall
 * clock of this process plays no part. An answer was given after it was asked for and before it arrived, so each narrows
 * down how far the two clocks are apart. The estimate is the earliest that it can be: it never runs ahead of the server.
 */
export class ServerClock {
  /** The server's time less this process's: at least, at most. */
  #least = Number.NEGATIVE_INFINITY;
  #most = Number.POSITIVE_INFINITY;
  #observedAt = Number.NEGATIVE_INFINITY;

  /** @param askedAt - when the answer was asked for, by `performance.now()` */
  observe(serverTime: number, askedAt: number): void {
    this.#observedAt = performance.now();
    const least = serverTime - this.#observedAt;
    // The server's time is cut to a millisecond.
    const most = serverTime + 1 - askedAt;
    // Both clocks have drifted apart, or one was set, or another server answers.
    const contradicts = least > this.#most || most < this.#least;
    this.#least = contradicts ? least : Math.max(least, this.#least);
    this.#most = contradicts ? most : Math.min(most, this.#most);
  }

  isUncertain(): boolean {
    return this.#most - this.#least > certainWithinMs || performance.now() - this.#observedAt > freshForMs;
  }

  now(): number {
    return Math.floor(this.#least + performance.now());
  }
}
