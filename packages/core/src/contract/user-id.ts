import { SessionError } from "./errors.js";

/**
 * The id of a user: text of 1 to 512 bytes, or an integer, which stands for its decimal text. `42`, `42n` and `"42"` are one
 * user, and `-0` is `0`. A number that is no safe integer is refused, because it may already be the id of another user: pass
 * the bigint or the text.
 */
export type UserId = string | number | bigint;

/**
 * Returns a user id as text; `undefined` and `null` as they are. The store checks the text.
 *
 * @throws SessionError `INVALID_ARGUMENT` for a fraction, `NaN`, an infinity and an integer beyond 2^53 - 1
 */
export function userIdText(userId: UserId): string;
export function userIdText<Absent extends null | undefined>(userId: UserId | Absent): string | Absent;
export function userIdText(userId: UserId | null | undefined): string | null | undefined {
  if (typeof userId === "bigint") return String(userId);
  if (typeof userId !== "number") return userId;
  if (Number.isSafeInteger(userId)) return String(userId);
  const expectation = "a string, a bigint or a safe integer";
  throw new SessionError(
    "INVALID_ARGUMENT",
    `@sojourn/core: argument "userId" must be ${expectation}, received ${userId}`,
  );
}
