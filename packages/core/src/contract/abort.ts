import { SessionError } from "./errors.js";

/** Returns the error for a call whose signal has fired. */
export function aborted(
  packageName: string,
  operation: string,
  signal: AbortSignal | undefined,
  outcomeUnknown: boolean,
): SessionError {
  const message = `${packageName}: ${operation} was aborted by the caller`;
  return new SessionError("ABORTED", message, { cause: signal?.reason, outcomeUnknown });
}
