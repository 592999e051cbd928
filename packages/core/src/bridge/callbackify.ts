/** Callback of a method of express-session's store protocol. */
export type Callback<Result = void> = (error: unknown, result?: Result) => void;

/**
 * Passes an outcome to the callback of a store method, if the caller gave one, and returns it as a promise.
 *
 * The callback runs once, in a later tick and in the caller's async context; a result that is known already arrives in the
 * next tick. A caller that ignores both, as express-session's `req.session.destroy()` does, causes no unhandled rejection:
 * the manager emits an `error` event for each failed store call.
 *
 * @param resultOfError - makes the result that the callback gets beside an error. Default: none
 */
export function callbackify<Result>(
  outcome: Promise<Result> | Result,
  callback: Callback<Result> | undefined,
  resultOfError?: (error: unknown) => Result,
): Promise<Result> {
  if (!(outcome instanceof Promise)) {
    callLater(callback, null, outcome);
    return Promise.resolve(outcome);
  }
  outcome.then(
    (result) => callLater(callback, null, result),
    (error: unknown) => callLater(callback, error, resultOfError?.(error)),
  );
  return outcome;
}

/** Calls outside the promise, so that an error thrown by the callback is an uncaught exception, as usual for callbacks. */
function callLater<Result>(callback: Callback<Result> | undefined, error: unknown, result?: Result): void {
  if (typeof callback === "function") process.nextTick(callback, error, result);
}
