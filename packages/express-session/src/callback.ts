/** What express-session's protocol calls back with. */
export type Callback<Result = void> = (error: unknown, result?: Result) => void;

/**
 * Tells a caller who may have left a callback what became of a promise, and returns the promise.
 *
 * The callback runs once, asynchronously, in the caller's async context. A caller who neither left one nor awaits the
 * promise, as express-session's `req.session.destroy()` does, causes no unhandled rejection: a failed store call is an
 * `error` event of the manager as well.
 */
export function answer<Result>(outcome: Promise<Result>, callback: Callback<Result> | undefined): Promise<Result> {
  outcome.then(
    (result) => callLater(callback, null, result),
    (error: unknown) => callLater(callback, error),
  );
  return outcome;
}

/** Outside the promise, where what a callback throws is an uncaught exception, as from any callback. */
function callLater<Result>(callback: Callback<Result> | undefined, error: unknown, result?: Result): void {
  if (typeof callback === "function") process.nextTick(callback, error, result);
}
