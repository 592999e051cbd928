const refreshMs = 60_000;

/**
 * The server's clock, as well as it can be read. It judges every deadline, in place of this process's clock.
 *
 * The server answers whole seconds. An answer bounds its time from both sides, and the estimate is the lower bound: behind
 * by at most a second and a round trip, and never ahead. Each further reading, and each time that another process has
 * stored, can only bring it nearer. Between readings this process's monotonic clock, which cannot be set, carries it on.
 */
export class ServerClock {
  /** Added to the monotonic clock; `undefined` until the first reading. */
  #offsetMs: number | undefined;
  #mostMs = Number.POSITIVE_INFINITY;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  /**
   * Reads the server's time when that is due.
   *
   * @param readSeconds - asks the server
   * @returns a promise only while the time is not known yet
   */
  ready(readSeconds: () => Promise<number>): Promise<void> | undefined {
    const isStale = performance.now() - this.#readAt > refreshMs;
    if (isStale && this.#reading === undefined) {
      this.#reading = this.#read(readSeconds).finally(() => {
        this.#reading = undefined;
      });
      // A refresh that fails changes nothing, and the next operation tries again.
      this.#reading.catch(() => {});
    }
    return this.#offsetMs === undefined ? this.#reading : undefined;
  }

  /** Returns epoch milliseconds. Call it only after {@link ServerClock.ready}. */
  now(): number {
    return Math.floor(performance.now() + (this.#offsetMs ?? Number.NaN));
  }

  /** Notes a time that some process has stored: no estimate is ahead, so that time has passed. */
  observe(time: number): void {
    if (this.#offsetMs === undefined) return;
    this.#offsetMs = Math.min(Math.max(this.#offsetMs, time - performance.now()), this.#mostMs);
  }

  async #read(readSeconds: () => Promise<number>): Promise<void> {
    const sentAt = performance.now();
    const seconds = await readSeconds();
    const answeredAt = performance.now();
    const leastMs = seconds * 1_000 - answeredAt;
    this.#mostMs = (seconds + 1) * 1_000 - sentAt;
    this.#offsetMs = Math.min(Math.max(this.#offsetMs ?? leastMs, leastMs), this.#mostMs);
    this.#readAt = answeredAt;
  }
}

/** The stores of a process that use one server share one clock, and so agree to the millisecond. */
const clocks = new Map<string, ServerClock>();

export function sharedClock(address: string): ServerClock {
  const clock = clocks.get(address) ?? new ServerClock();
  clocks.set(address, clock);
  return clock;
}
