export type Callback<T> = (error: unknown, answer: T | undefined) => void;

/** Calls `callback` once for a function that answers by callback, by promise, or by both. */
export function callbackify<T>(ask: (callback: Callback<T>) => unknown, callback: Callback<T>): void {
  let isAnswered = false;
  const once: Callback<T> = (error, answer) => {
    if (isAnswered) return;
    isAnswered = true;
    callback(error, answer);
  };
  try {
    const promise = ask(once);
    if (!(promise instanceof Object) || !("then" in promise)) return;
    Promise.resolve(promise).then(
      // A wrapper that hands the callback on may resolve with nothing before the callback is called.
      (answer) => answer !== undefined && once(undefined, answer as T),
      (error: unknown) => once(error, undefined),
    );
  } catch (error) {
    once(error, undefined);
  }
}
