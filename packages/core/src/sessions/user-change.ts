import type { SessionState } from "../content/content.js";
import type { SessionChange } from "../contract/store.js";

/** Returns the part of a write that sets the user. */
export function userChange(userId: string | null | undefined): SessionChange {
  return userId === undefined ? {} : { userId };
}

/** Returns the user of a session after such a write. */
export function ownerAfter(current: SessionState, userId: string | null | undefined): string | undefined {
  return userId === undefined ? current.userId : (userId ?? undefined);
}
