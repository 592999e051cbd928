const refreshMs = 60_000;

/**
 * The server's clock, as well as it can be read: the judge of every deadline, in place of this process's own.
 *
 * The server tells whole seconds. What is told bounds its time from both sides, and each further reading narrows that: the
 * estimate is never ahead by more than a reading's round trip, and behind by at most a second. Between readings
 * the process's monotonic clock carries it on, which nobody sets.
 */
export class ServerClock {
  readonly #readSeconds: () => Promise<number>;
  #offsetMs: number | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(readSeconds: () => Promise<number>) {
    this.#readSeconds = readSeconds;
  }

  /** Resolves once the time is known: at once, but for the first time. */
  async ready(): Promise<void> {
    const isStale = performance.now() - this.#readAt > refreshMs;
    if (isStale && this.#reading === undefined) {
      this.#reading = this.#read().finally(() => {
        this.#reading = undefined;
      });
      // A refresh that fails changes nothing, and is tried again by the next operation.
      this.#reading.catch(() => {});
    }
    if (this.#offsetMs === undefined) await this.#reading;
  }

  /** Epoch milliseconds. Only after {@link ServerClock.ready}. */
  now(): number {
    return Math.floor(performance.now() + (this.#offsetMs ?? Number.NaN));
  }

  async #read(): Promise<void> {
    const sentAt = performance.now();
    const seconds = await this.#readSeconds();
    const answeredAt = performance.now();
    const least = seconds * 1_000 - answeredAt;
    const most = (seconds + 1) * 1_000 - sentAt;
    this.#offsetMs = Math.min(Math.max(this.#offsetMs ?? least, least), most);
    this.#readAt = answeredAt;
  }
}
