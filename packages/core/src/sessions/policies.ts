import type { UnreadablePolicy } from "../content/unreadable.js";
import { invalidOption } from "../contract/errors.js";

const packageName = "@sojourn/core";

/**
 * The policy for saving a loaded session that another writer has changed meanwhile:
 *
 * - `merge`: the top-level keys that this writer changed, added or deleted are applied to the stored data;
 * - `fail`: the save rejects `CONFLICT`;
 * - `overwrite`: this writer's data replaces the stored data.
 *
 * Under all three, a destroyed session stays destroyed, and a session that belongs to another user by now is left
 * alone.
 */
export type ConflictPolicy = "merge" | "fail" | "overwrite";

/** @throws SessionError `INVALID_OPTION` */
export function requirePolicy(policy: ConflictPolicy): void {
  if (["merge", "fail", "overwrite"].includes(policy)) return;
  throw invalidOption(packageName, "onConflict", '"merge", "fail" or "overwrite"', policy);
}

/** @throws SessionError `INVALID_OPTION` */
export function requireUnreadablePolicy(policy: UnreadablePolicy): void {
  if (policy === "fail" || policy === "missing") return;
  throw invalidOption(packageName, "onUnreadable", '"fail" or "missing"', policy);
}
