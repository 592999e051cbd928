import { isSessionError } from "../contract/errors.js";

/**
 * The result for a stored session that cannot be read, because its key is missing, a later release wrote it, `upgrade`
 * or the schema refused it, or it is malformed:
 *
 * - `fail`: the call rejects `DECODE`;
 * - `missing`: the call answers as if there was no session, so that the client gets a new one.
 *
 * Neither overwrites or destroys the session: the cause may be this process, such as a missing key or an older release.
 * The session is reported by an `error` and a `security` event and counts in its user's session limit. It ends at its
 * deadline, and at once by `destroy` and `destroyByUser`.
 */
export type UnreadablePolicy = "fail" | "missing";

/** Applies the policy to a read: under `missing`, a `DECODE` error becomes `undefined`. */
export function answerUnreadable<T>(policy: UnreadablePolicy, reading: Promise<T>): Promise<T | undefined> {
  if (policy === "fail") return reading;
  return reading.catch((error: unknown) => {
    if (isSessionError(error, "DECODE")) return undefined;
    throw error;
  });
}
