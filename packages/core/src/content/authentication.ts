import { SessionError } from "../contract/errors.js";

/**
 * That a user has proven who they are, kept in a session's content.
 *
 * It names the user, so that it is void as soon as the session is another's, whoever wrote that. The time is counted from the session's creation, by the store's clock: an encoded session
 * cannot know when the store will date it.
 */
export interface Authentication {
  readonly userId: string;
  readonly afterMs: number;
}

/** @throws SessionError `INVALID_ARGUMENT` when there is no user who could have proven anything */
export function authentication(userId: string | undefined, afterMs: number): Authentication {
  if (userId !== undefined) return { userId, afterMs: Math.max(0, Math.floor(afterMs)) };
  throw new SessionError("INVALID_ARGUMENT", '@sojourn/core: "authenticated" needs a session with a user');
}

export function isAuthentication(value: object): value is Authentication {
  const { userId, afterMs }: { readonly [Key in keyof Authentication]?: unknown } = value;
  return typeof userId === "string" && Number.isSafeInteger(afterMs) && Number(afterMs) >= 0;
}
