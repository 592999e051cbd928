import type { UnreadablePolicy } from "../content/unreadable.js";
import { invalidOption } from "../contract/errors.js";

const packageName = "@sojourn/core";

/**
 * What happens when a session that was loaded is saved after somebody else has written to it:
 *
 * - `merge`: what this writer changed, added or deleted is applied to what is stored now, by whole top-level keys;
 * - `fail`: the save rejects `CONFLICT`;
 * - `overwrite`: this writer's data replaces what is stored.
 *
 * Under all three a destroyed session stays destroyed, and a session that has changed hands is left alone.
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
