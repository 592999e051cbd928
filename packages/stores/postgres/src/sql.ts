/** Pieces of SQL that statements and functions share. */

import type { Names } from "./names.js";

/** The current time of the server when it is evaluated, in whole milliseconds as in records. */
export const clock = "date_trunc('milliseconds', clock_timestamp())";

/** The time at which the statement began, in whole milliseconds: one time for all rows of a statement that waits for no lock. */
export const statementClock = "date_trunc('milliseconds', statement_timestamp())";

type NewValues = "id" | "user" | "payload" | "idle" | "absolute" | "age" | "inactive" | "version" | "now";

/** Inserts a session, or replaces an expired one of this id. Returns no row when a live session has the id. */
export function insertSession({ table }: Names, values: Readonly<Record<NewValues, string>>): string {
  const { id, user, payload, idle, absolute, age, inactive, version, now } = values;
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
  SELECT ${id}, ${user}, ${payload}, ${version}, ${earlier("c.now", age)}, ${earlier("c.now", inactive)},
    ${expiresAt}, ${endsAt}, ${expiresAt}
  FROM (SELECT ${now} AS now) c
  ON CONFLICT (id) DO UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(", ")}
  WHERE s.expires_at <= clock_timestamp()`;
}

/** Returns the columns that a change sets in row `s`, whose absolute deadline is `ends`. A null parameter keeps its column. */
export function changedColumns(
  parameters: Readonly<Record<"payload" | "setsUser" | "user" | "idle" | "ends" | "now", string>>,
): string {
  const { payload, setsUser, user, idle, ends, now } = parameters;
  const expiresAt = `least(${later(now, idle)}, ${ends})`;
  return `user_id = CASE WHEN ${setsUser} THEN ${user} ELSE s.user_id END,
    payload = coalesce(${payload}, s.payload),
    version = s.version + CASE WHEN ${setsUser} OR ${payload} IS NOT NULL THEN 1 ELSE 0 END,
    last_active_at = CASE WHEN ${idle} IS NULL THEN s.last_active_at ELSE ${now} END,
    expires_at = CASE WHEN ${idle} IS NULL THEN least(s.expires_at, ${ends}) ELSE ${expiresAt} END,
    sweep_at = CASE WHEN ${idle} IS NULL THEN least(s.sweep_at, ${ends}) ELSE ${sweepAt(expiresAt, idle, ends)} END`;
}

/** Returns the columns that a touch sets in row `s`. */
export function touchedColumns(idle: string, shorten: string, now: string): string {
  const reached = `least(${later(now, idle)}, s.ends_at)`;
  const expiresAt = `CASE WHEN ${shorten} THEN ${reached} ELSE greatest(s.expires_at, ${reached}) END`;
  return `last_active_at = greatest(s.last_active_at, ${now}),
  expires_at = ${expiresAt},
  sweep_at = ${sweepAt(expiresAt, idle, "s.ends_at")}`;
}

/**
 * Returns the new `sweep_at` of row `s`. It stays while it is at most one idle timeout late. A touch is written each sixtieth
 * of an idle timeout, so about one touch in thirty moves it.
 */
function sweepAt(expiresAt: string, idle: string, ends: string): string {
  return `least(${ends}, CASE WHEN s.sweep_at BETWEEN ${expiresAt} AND ${later(expiresAt, idle)} THEN s.sweep_at
      ELSE ${later(expiresAt, `${idle} / 2`)} END)`;
}

/** Returns a time that is `ms` milliseconds earlier. */
function earlier(than: string, ms: string): string {
  return `${than} - ${ms} * interval '1 millisecond'`;
}

/** Returns a time that is `ms` milliseconds later. */
export function later(than: string, ms: string): string {
  return `${than} + ${ms} * interval '1 millisecond'`;
}
