/** SQL that procedures and plain statements share. */

import type { Names } from "./names.js";

/**
 * Epoch milliseconds by the server's clock. `UNIX_TIMESTAMP(NOW(3))` goes through the session's time zone and is an hour
 * off in the hour that daylight saving repeats. Within a procedure each statement has a clock of its own.
 */
export const clock = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000";

/** The columns of a record, beside the id. */
export const recordColumns = "user_id, payload, version, created_at, last_active_at, expires_at, ends_at";

/** The columns of a new session, in the order of its values. */
export const insertedColumns =
  "id, user_id, payload, version, created_at, last_active_at, expires_at, ends_at, sweep_at";

/** A LIMIT that takes all rows. Without one, the `sql_select_limit` of a connection would cut the answer. */
export const noLimit = "LIMIT 18446744073709551615";

/** A guard that has not been used for this long is removed: it is a lock and holds no data, so that is safe at any time. */
export const guardLifetimeMs = 60_000;

/**
 * Reads the live ones of several ids by a plain SELECT: a CALL costs the server a third more, and so does a join that
 * returns a row in any case. The column `autocommit` tells whether the answer is current.
 */
export function selectSessions({ sessions }: Names, count: number): string {
  const ids = Array.from({ length: count }, () => "?").join(", ");
  return `SELECT id, ${recordColumns}, ${clock} AS now_ms, @@autocommit AS autocommit
    FROM ${sessions} WHERE id IN (${ids}) AND expires_at > ${clock} LIMIT ${count}`;
}

/**
 * Bounds how long a statement waits for locks, in seconds.
 *
 * MariaDB reads the comment in front and takes the hint for a comment, MySQL does it the other way round. Both cost no round
 * trip and leave the settings of the connection as they are.
 */
export function boundWaits(sql: string, seconds: number | null): string {
  if (seconds === null) return sql;
  const hint = `/*+ SET_VAR(innodb_lock_wait_timeout = ${seconds}) SET_VAR(lock_wait_timeout = ${seconds}) */`;
  const settings = `innodb_lock_wait_timeout = ${seconds}, lock_wait_timeout = ${seconds}`;
  return `/*M!100100 SET STATEMENT ${settings} FOR */ ${sql.trimStart().replace(/^\w+/, (verb) => `${verb} ${hint}`)}`;
}
