import { aliasPrefix } from "@sojourn/core/adapter";
import type { Names } from "./names.js";
import type { Row } from "./record.js";
import { clock, guardLifetimeMs, insertedColumns, noLimit, recordColumns, selectSessions } from "./sql.js";

/** The plain statements that stand for the procedures. */
export interface TransactionSql {
  readonly now: string;
  readonly find: string;
  readonly insert: string;
  readonly store: string;
  readonly storeWithPayload: string;
  readonly touch: string;
  readonly removeExpired: string;
  readonly removeOwned: string;
  readonly lockGuard: string;
  readonly lastKey: string;
  readonly clear: (limit: number) => string;
  readonly clearGuards: (limit: number) => string;
  readonly get: (count: number) => string;
  readonly listByUser: string;
  readonly scan: (size: number) => string;
  readonly count: string;
  /** Locks the session of an id, the sessions of a user, or both. */
  readonly lock: (byId: boolean, byUser: boolean) => string;
  readonly remove: (rows: readonly Row[]) => string;
  readonly postpone: (rows: readonly Row[]) => string;
  readonly due: (limit: number, skipsLocked: boolean) => string;
  readonly unusedGuards: (limit: number, skipsLocked: boolean) => string;
  readonly removeGuards: (rows: readonly Row[]) => string;
}

/**
 * The server's clock when a row is looked at, after the wait for its lock. `SYSDATE` alone goes on during a statement, in the
 * session's time zone: only its distance to `NOW` counts, without the shift of a daylight saving that falls in between.
 */
const clockAtRow = `(${clock} + MOD(TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)) DIV 1000 + 86400000, 1800000))`;

/** The new deadline by a touch: whether it may be shortened, and twice the idle time. */
const touchedDeadline = `LEAST(IF(?, ${clockAtRow} + ?, GREATEST(expires_at, ${clockAtRow} + ?)), ends_at)`;

const keptColumns = "version = ?, last_active_at = ?, expires_at = ?, ends_at = ?, sweep_at = ?";

export function transactionSql(names: Names): TransactionSql {
  const { sessions, guards } = names;
  const values = Array.from(insertedColumns.split(","), (_, index) => (index === 2 ? "COALESCE(?, X'')" : "?"));
  return {
    now: `SELECT ${clock} AS now_ms`,
    find: `SELECT pk, id, user_id, expires_at, ${clock} AS now_ms FROM ${sessions} WHERE id = ? LIMIT 1`,
    insert: `INSERT INTO ${sessions} (${insertedColumns}) VALUES (${values.join(", ")})`,
    store: `UPDATE ${sessions} SET id = ?, user_id = ?, ${keptColumns} WHERE pk = ?`,
    // An empty payload arrives as NULL under MariaDB's mode EMPTY_STRING_IS_NULL.
    storeWithPayload: `UPDATE ${sessions} SET payload = COALESCE(?, X''), id = ?, user_id = ?, ${keptColumns} WHERE pk = ?`,
    // In this order no assignment reads a column that was assigned before: servers differ in its value then.
    touch: `UPDATE ${sessions} SET
      sweep_at = LEAST(sweep_at, ${touchedDeadline}), expires_at = ${touchedDeadline},
      last_active_at = GREATEST(last_active_at, ${clockAtRow})
      WHERE id = ? AND expires_at > ${clockAtRow}`,
    removeExpired: `DELETE FROM ${sessions} WHERE id = ? AND expires_at <= ${clock}`,
    removeOwned: `DELETE FROM ${sessions} WHERE pk = ? AND id = ? AND user_id <=> ?`,
    lockGuard: `INSERT INTO ${guards} (user_id, used_at) VALUES (?, ${clock}) ON DUPLICATE KEY UPDATE used_at = ${clock}`,
    lastKey: `SELECT COALESCE(MAX(pk), 0) AS pk FROM ${sessions}`,
    clear: (limit) => `DELETE FROM ${sessions} WHERE pk <= ? ORDER BY pk LIMIT ${limit}`,
    clearGuards: (limit) =>
      // By a column that only guards have: another store's table of sessions may have their name.
      `DELETE FROM ${guards} WHERE user_id > X'' AND used_at >= 0 ORDER BY user_id LIMIT ${limit}`,
    get: (count) => selectSessions(names, count),
    listByUser: `SELECT id, ${recordColumns}, ${clock} AS now_ms, @@autocommit AS autocommit FROM ${sessions}
      WHERE user_id = ? AND expires_at > ${clock} ORDER BY created_at, id ${noLimit}`,
    scan: (size) => `SELECT pk, id, ${recordColumns}, ${clock} AS now_ms, @@autocommit AS autocommit FROM ${sessions}
      WHERE pk > ? AND expires_at > ${clock} ORDER BY pk LIMIT ${size}`,
    count: `SELECT COUNT(*) AS sessions, COUNT(user_id) AS sessions_with_user, COUNT(DISTINCT user_id) AS users,
      @@autocommit AS autocommit FROM ${sessions} WHERE expires_at > ${clock} AND id NOT LIKE '${aliasPrefix}%'`,
    lock: (byId, byUser) => lockRows(names, byId, byUser),
    remove: (rows) => `DELETE FROM ${sessions} WHERE pk IN (${keysOf(rows)})`,
    postpone: (rows) => `UPDATE ${sessions} SET sweep_at = expires_at WHERE pk IN (${keysOf(rows)})`,
    due: (limit, skipsLocked) => `SELECT s.pk, s.id, s.user_id, s.expires_at, ${clock} AS now_ms
      FROM (SELECT pk FROM ${sessions} WHERE sweep_at <= ${clock} ORDER BY sweep_at LIMIT ${limit}) AS k
      STRAIGHT_JOIN ${sessions} AS s ON s.pk = k.pk ${noLimit} FOR UPDATE${skipsLocked ? " SKIP LOCKED" : ""}`,
    unusedGuards: (limit, skipsLocked) => `SELECT user_id FROM ${guards}
      WHERE used_at <= ${clock} - ${guardLifetimeMs} ORDER BY used_at LIMIT ${limit}
      FOR UPDATE${skipsLocked ? " SKIP LOCKED" : ""}`,
    removeGuards: (rows) => `DELETE FROM ${guards} WHERE user_id IN (${rows.map(userLiteral).join(", ")})`,
  };
}

/**
 * A row is locked through its primary key alone, as the procedures do it. The payload of the session of the id is read where
 * it is part of the answer: the parameters are the id, whether it is read in any case, and the version expected.
 */
function lockRows({ sessions }: Names, byId: boolean, byUser: boolean): string {
  const keys = [byId ? "id" : [], byUser ? "user_id" : []].flat();
  const selects = keys.map((column) => `SELECT pk FROM ${sessions} WHERE ${column} = ?`);
  const payload = byId ? "IF(s.id = ? AND (? OR s.version <> ?), s.payload, NULL)" : "NULL";
  return `SELECT s.pk, s.id, s.user_id, ${payload} AS payload, s.version, s.created_at, s.last_active_at, s.expires_at,
      s.ends_at, s.sweep_at, ${clock} AS now_ms
    FROM (SELECT pk FROM (${selects.join(" UNION ")}) AS u ORDER BY pk ${noLimit}) AS k
    STRAIGHT_JOIN ${sessions} AS s ON s.pk = k.pk ${noLimit} FOR UPDATE`;
}

/** Digits of the server's own. */
function keysOf(rows: readonly Row[]): string {
  return rows.map(({ pk }) => BigInt(String(pk))).join(", ");
}

function userLiteral({ user_id: userId }: Row): string {
  return Buffer.isBuffer(userId) ? `X'${userId.toString("hex")}'` : "NULL";
}
