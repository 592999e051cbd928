import type { Call } from "@sojourn/core/adapter";

/** Returns the call of work that no caller waits for: repairs, and a look at the server's settings. */
export function detachedCall(operation: string): Call {
  return {
    operation,
    deadline: Number.POSITIVE_INFINITY,
    sent: true,
    reason: undefined,
    over: false,
    onOver: undefined,
    get signal(): AbortSignal {
      return new AbortController().signal;
    },
  };
}
