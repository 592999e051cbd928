/** The pieces that statements and functions have in common. */

import type { Names } from "./names.js";

/** The moment at which it is evaluated, in whole milliseconds as the records have them. */
export const clock = "date_trunc('milliseconds', clock_timestamp())";

/**
 * The moment at which the statement began to run, as {@link clock} has it: read once for all rows, and enough for what waits
 * for no row.
 */
export const statementClock = "date_trunc('milliseconds', statement_timestamp())";

/** Writes a new session, also over an expired one of this id; no row when a live one has it. */
export function insertSession(
  { table }: Names,
  values: Readonly<Record<"id" | "user" | "payload" | "idle" | "absolute" | "now", string>>,
): string {
  const { id, user, payload, idle, absolute, now } = values;
  const columns = [
    "user_id",
    "payload",
    "version",
    "created_at",
    "last_active_at",
    "expires_at",
    "ends_at",
    "sweep_at",
  ];
  const endsAt = later("c.now", absolute);
  const expiresAt = `least(${later("c.now", idle)}, ${endsAt})`;
  return `INSERT INTO ${table} AS s (id, ${columns.join(", ")})
  SELECT ${id}, ${user}, ${payload}, 1, c.now, c.now, ${expiresAt}, ${endsAt}, ${expiresAt}
  FROM (SELECT ${now} AS now) c
  ON CONFLICT (id) DO UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(", ")}
  WHERE s.expires_at <= clock_timestamp()`;
}

/** What a change sets in row `s`; a parameter that is null leaves its column. */
export function changedColumns(
  parameters: Readonly<Record<"payload" | "setsUser" | "user" | "idle" | "now", string>>,
): string {
  const { payload, setsUser, user, idle, now } = parameters;
  const expiresAt = deadline(now, idle);
  return `user_id = CASE WHEN ${setsUser} THEN ${user} ELSE s.user_id END,
    payload = coalesce(${payload}, s.payload),
    version = s.version + CASE WHEN ${setsUser} OR ${payload} IS NOT NULL THEN 1 ELSE 0 END,
    last_active_at = CASE WHEN ${idle} IS NULL THEN s.last_active_at ELSE ${now} END,
    expires_at = CASE WHEN ${idle} IS NULL THEN s.expires_at ELSE ${expiresAt} END,
    sweep_at = CASE WHEN ${idle} IS NULL THEN s.sweep_at ELSE ${sweepAt(expiresAt, idle)} END`;
}

/** When row `s` ends if it is not used again. */
export function deadline(now: string, idle: string): string {
  return `least(${later(now, idle)}, s.ends_at)`;
}

/**
 * Where `sweep_at` of row `s` goes with a deadline: it stays while it is at most one idle timeout late, so that about one
 * touch in thirty moves it (a touch is written each sixtieth of an idle timeout).
 */
export function sweepAt(expiresAt: string, idle: string): string {
  return `CASE WHEN s.sweep_at BETWEEN ${expiresAt} AND ${later(expiresAt, idle)} THEN s.sweep_at
      ELSE least(${later(expiresAt, `${idle} / 2`)}, s.ends_at) END`;
}

function later(from: string, ms: string): string {
  return `${from} + ${ms} * interval '1 millisecond'`;
}
