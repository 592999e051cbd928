import { SessionError } from "./errors.js";

/** The timeout of an operation where the store has no option for it, in milliseconds. */
export const defaultTimeoutMs = 2_000;

/** The largest delay of a timer; a larger one fires at once. */
export const maxTimerMs: number = 2 ** 31 - 1;

/**
 * Settles as `promise` does, or rejects `TIMEOUT` after `timeoutMs`.
 *
 * A later outcome of `promise` is ignored and causes no unhandled rejection.
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
