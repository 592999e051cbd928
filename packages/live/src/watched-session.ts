import type { Connection } from "./connection.js";

/** A session with open connections in this process. */
export class WatchedSession {
  readonly id: string;
  readonly connections: Set<Connection> = new Set();
  /** How often in a row the store has not answered. */
  failures = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The last known deadline, by the monotonic clock. */
  #deadline: number = Number.POSITIVE_INFINITY;

  constructor(id: string) {
    this.id = id;
  }

  /** Whether the last known deadline has passed. */
  get isOverdue(): boolean {
    return performance.now() >= this.#deadline;
  }

  setDeadline(remainingMs: number): void {
    this.#deadline = performance.now() + remainingMs;
  }

  /** Calls `check` after `delayMs`, in place of an earlier call. */
  checkAfter(delayMs: number, check: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(check, delayMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
