import { setImmediate as nextTick } from "node:timers/promises";
import { type Duration, durationMs } from "../contract/duration.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import type { EndedSession, SessionStore } from "../contract/store.js";
import { maxTimerMs } from "../contract/timeout.js";

export interface SweeperOptions {
  /** The store to sweep. A store that expires by itself needs no sweeper. */
  readonly store: SessionStore;
  /** Mean time between two runs; each wait is drawn from half to one and a half of it. Default `"1m"`. */
  readonly interval?: Duration | undefined;
  /** The largest number of sessions that one call of the store removes: a positive integer. Default 1000. */
  readonly batchSize?: number | undefined;
  /** Called with each batch removed. */
  readonly onSwept?: ((sessions: readonly EndedSession[]) => void) | undefined;
  /** Called when a run fails; the next run follows as usual. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/**
 * Removes expired sessions at intervals, for stores that do not expire by themselves. A `SessionManager` runs its own.
 *
 * The intervals are random, so that processes started together do not sweep at once. The timer never keeps the process
 * alive, runs never overlap, and the event loop gets its turn between two batches.
 *
 * @example
 * ```ts
 * import { Sweeper } from "@sojourn/core";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const store = new MemoryStore();
 * const sweeper = new Sweeper({ store, interval: "1m", onError: (error) => console.error(error) }).start();
 * console.log(await sweeper.run()); // 0: no session has expired
 * await sweeper.stop();
 * await store.close();
 * ```
 */
export class Sweeper {
  readonly #store: SessionStore;
  readonly #batchSize: number;
  readonly #intervalMs: number;
  readonly #onSwept: (sessions: readonly EndedSession[]) => void;
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<number> | undefined;
  #stopped = false;

  constructor(options: SweeperOptions) {
    refuseUnknownOptions("@sojourn/core", options, ["store", "interval", "batchSize", "onSwept", "onError"]);
    const { store, interval = "1m", batchSize = 1_000, onSwept = ignore, onError = ignore } = options;
    if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
      throw invalidOption("@sojourn/core", "batchSize", "a positive integer", batchSize);
    }
    this.#store = store;
    this.#batchSize = batchSize;
    this.#intervalMs = durationMs(interval, "interval");
    this.#onSwept = onSwept;
    this.#onError = onError;
  }

  /** Starts the timer; the first run comes after one interval. */
  start(): this {
    if (this.#timer === undefined && !this.#stopped) this.#schedule();
    return this;
  }

  /**
   * Sweeps until no expired session is left. A call during a run shares that run.
   *
   * @returns the number of sessions removed
   * @throws the store's errors
   */
  run(): Promise<number> {
    this.#running ??= this.#sweep().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Stops the timer and waits for the run under way. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running?.catch(ignore);
  }

  #schedule(): void {
    const waitMs = Math.min(this.#intervalMs * (0.5 + Math.random()), maxTimerMs);
    this.#timer = setTimeout(() => {
      this.run()
        .catch(this.#onError)
        // An error of `onError` itself is ignored.
        .catch(ignore)
        .finally(() => {
          if (!this.#stopped) this.#schedule();
        });
    }, waitMs).unref();
  }

  async #sweep(): Promise<number> {
    let removed = 0;
    while (!this.#stopped) {
      const sessions = await this.#store.sweep({ limit: this.#batchSize });
      removed += sessions.length;
      if (sessions.length > 0) this.#onSwept(sessions);
      if (sessions.length < this.#batchSize) break;
      await nextTick();
    }
    return removed;
  }
}

function ignore(): void {}
