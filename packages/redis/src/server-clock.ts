/** How long an estimate serves before a read asks the server again, in milliseconds. */
const freshForMs = 1_000;

/**
 * What the server's clock shows, without asking it each time.
 *
 * Every script answers with the server's time. In between this process's monotonic clock carries it on, so the wall
 * clock of this process plays no part. The estimate lags by the way back of the last answer and never runs ahead of it.
 */
export class ServerClock {
  #serverTime = 0;
  #observedAt = Number.NEGATIVE_INFINITY;

  /** Takes over what the server has answered, unless the estimate is known to be nearer. */
  observe(serverTime: number): void {
    if (!this.isStale() && serverTime <= this.now()) return;
    this.#serverTime = serverTime;
    this.#observedAt = performance.now();
  }

  isStale(): boolean {
    return performance.now() - this.#observedAt > freshForMs;
  }

  now(): number {
    return Math.floor(this.#serverTime + performance.now() - this.#observedAt);
  }
}
