/** What the store protocol of express-session, which others have taken over, calls back with. */
export type Callback<Result = void> = (error: unknown, result?: Result) => void;

/**
 * Tells a caller who may have left a callback what became of a promise, and returns the promise. What is known without
 * waiting is told in the next tick.
 *
 * The callback runs once, asynchronously, in the caller's async context. A caller who neither left one nor awaits the
 * promise, as express-session's `req.session.destroy()` does, causes no unhandled rejection: a failed store call is an
 * `error` event of the manager as well.
 *
 * @param beside - what the callback gets beside an error. Default: nothing
 */
export function answer<Result>(
  outcome: Promise<Result> | Result,
  callback: Callback<Result> | undefined,
  beside?: (error: unknown) => Result,
): Promise<Result> {
  if (!(outcome instanceof Promise)) {
    callLater(callback, null, outcome);
    return Promise.resolve(outcome);
  }
  outcome.then(
    (result) => callLater(callback, null, result),
    (error: unknown) => callLater(callback, error, beside?.(error)),
  );
  return outcome;
}

/** Outside the promise, where what a callback throws is an uncaught exception, as from any callback. */
function callLater<Result>(callback: Callback<Result> | undefined, error: unknown, result?: Result): void {
  if (typeof callback === "function") process.nextTick(callback, error, result);
}
