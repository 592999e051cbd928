import { setImmediate as nextTick } from "node:timers/promises";
import { type Duration, durationMs } from "../contract/duration.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import type { EndedSession, SessionStore } from "../contract/store.js";
import { maxTimerMs } from "../contract/timeout.js";

export interface SweeperOptions {
  /** The store to sweep. Stores that expire by themselves need no sweeper. */
  readonly store: SessionStore;
  /** Mean time between two runs; each wait is drawn from half to one and a half of it. Default `"1m"`. */
  readonly interval?: Duration | undefined;
  /** The most sessions removed by one call of the store: a positive integer. Default 1000. */
  readonly batchSize?: number | undefined;
  /** Called with each batch removed. */
  readonly onSwept?: ((sessions: readonly EndedSession[]) => void) | undefined;
  /** Called when a run fails; the next one comes all the same. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/**
 * Removes expired sessions now and then.
 *
 * Waits are jittered so that many processes started at once do not sweep at once, the timer never keeps the process
 * alive, runs never overlap, and the event loop gets its turn between two batches.
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

  /** Begins to sweep; the first run comes after one wait. */
  start(): this {
    if (this.#timer === undefined && !this.#stopped) this.#schedule();
    return this;
  }

  /**
   * Sweeps until nothing expired is left. A call during a run shares that run.
   *
   * @returns how many sessions were removed
   * @throws what the store throws
   */
  run(): Promise<number> {
    this.#running ??= this.#sweep().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Ends the timer and waits for a run under way. Idempotent. */
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
        // An `onError` that fails has nobody left to tell.
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
