/** Bounds one call of a manager or a store. */
export interface CallOptions {
  /**
   * Ends the wait: the call rejects `ABORTED`. A command that was not sent yet is dropped. A command that was sent may
   * still be applied; the error's `outcomeUnknown` says so.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds that the whole operation may take, with every wait for a turn or a connection: a positive integer. One step
   * of `scan` and of `clear` counts as one operation. Default: the store's own timeout.
   */
  readonly timeoutMs?: number | undefined;
}

/** Bounds one call of a store. */
export interface StoreCallOptions extends CallOptions {
  /**
   * The moment of `performance.now()` at which the call ends in any case. For decorators that make several calls within one
   * operation: a duration handed on twice would allow twice the time. Default: none.
   */
  readonly deadline?: number | undefined;
}
