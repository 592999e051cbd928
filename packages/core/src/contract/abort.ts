import { SessionError } from "./errors.js";

/** Refuses to begin what has been aborted already. */
export function throwIfAborted(signal: AbortSignal | undefined, operation: string): void {
  if (signal?.aborted) throw aborted(signal, operation, false);
}

/** Settles as `promise` does, or rejects `ABORTED` as soon as the signal fires. */
export function withAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined, operation: string): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    // A signal that has fired already tells nobody again.
    if (signal.aborted) reject(aborted(signal, operation, true));
    const onAbort = (): void => reject(aborted(signal, operation, true));
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

function aborted(signal: AbortSignal, operation: string, sent: boolean): SessionError {
  const details = { cause: signal.reason, outcomeUnknown: sent };
  return new SessionError("ABORTED", `@sojourn/core: ${operation} was aborted by the caller`, details);
}
