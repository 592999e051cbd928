import { SessionError } from "../contract/errors.js";

/**
 * The proof that a user has authenticated, kept in the content of a session.
 *
 * It names the user, so that it becomes void when the session gets another user, whichever process writes that.
 * `afterMs` counts from the creation of the session, by the store's clock: when a session is encoded, its creation time
 * is not known yet.
 */
export interface Authentication {
  readonly userId: string;
  readonly afterMs: number;
}

/**
 * Makes the proof for a session.
 *
 * @throws SessionError `INVALID_ARGUMENT` for an anonymous session
 */
export function authentication(userId: string | undefined, afterMs: number): Authentication {
  if (userId !== undefined) return { userId, afterMs: Math.max(0, Math.floor(afterMs)) };
  throw new SessionError("INVALID_ARGUMENT", '@sojourn/core: "authenticated" needs a session with a user');
}

export function isAuthentication(value: object): value is Authentication {
  const { userId, afterMs }: { readonly [Key in keyof Authentication]?: unknown } = value;
  return typeof userId === "string" && Number.isSafeInteger(afterMs) && Number(afterMs) >= 0;
}
