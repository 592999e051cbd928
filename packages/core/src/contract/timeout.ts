import { SessionError } from "./errors.js";

/** Stores give a round trip this long, in milliseconds, unless their option says otherwise. */
export const defaultTimeoutMs = 2_000;

/** A timer takes no more, and fires at once beyond that. */
export const maxTimerMs: number = 2 ** 31 - 1;

/**
 * Settles as `promise` does, or rejects `TIMEOUT` after `timeoutMs`.
 *
 * A late outcome of `promise` is ignored, and never an unhandled rejection.
 */
export function withTimeout<T>(promise: Promise<T>, timeoutMs: number, operation: string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(
      () => {
        const message = `${operation} was not answered within ${timeoutMs} ms; whether a write was applied is unknown`;
        reject(new SessionError("TIMEOUT", message));
      },
      Math.min(timeoutMs, maxTimerMs),
    );
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error as Error);
      },
    );
  });
}
