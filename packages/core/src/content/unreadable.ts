import { isSessionError } from "../contract/errors.js";

/**
 * What is answered for a stored session that cannot be read: because it was encrypted by a key that is not there, was
 * stored by a later release, was refused by `upgrade` or the schema, or is malformed:
 *
 * - `fail`: the call rejects `DECODE`;
 * - `missing`: there is no session, so that the client gets a fresh one.
 *
 * Under both, nothing is overwritten or destroyed, since the fault may be this process's own: a key that was not deployed, a
 * release that was rolled back. It shows by an `error` and a `security` event, counts in its user's session limit, ends by
 * itself at its deadline, and at once by `destroy` and `destroyByUser`.
 */
export type UnreadablePolicy = "fail" | "missing";

/** Answers for a session that cannot be read: under the policy `missing`, `undefined`. */
export function answerUnreadable<T>(policy: UnreadablePolicy, reading: Promise<T>): Promise<T | undefined> {
  if (policy === "fail") return reading;
  return reading.catch((error: unknown) => {
    if (isSessionError(error, "DECODE")) return undefined;
    throw error;
  });
}
