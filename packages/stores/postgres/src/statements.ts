import { aliasPrefix } from "@sojourn/core/adapter";
import { fingerprint, type Names } from "./names.js";
import { changedColumns, clock, insertSession, later, statementClock, touchedColumns } from "./sql.js";

/** An SQL text, and the name under which a connection prepares it. */
export interface Statement {
  readonly text: string;
  /** Contains a hash of the text, so that each table and release has names of its own. */
  readonly name: string;
  /** Whether it changes nothing and therefore may be sent twice. */
  readonly isRead: boolean;
}

/**
 * The statements of a store. Each is one round trip.
 *
 * `get` and `getMany` return payloads as text, which is half as long as the hex of `getBytes`. They fail for a payload that a
 * text of PostgreSQL cannot hold. Every column is text: a pool that is set to `binary` receives text unchanged.
 */
export type Statements = Readonly<
  Record<
    | "get"
    | "getMany"
    | "getBytes"
    | "create"
    | "createLimited"
    | "update"
    | "updateMany"
    | "change"
    | "touch"
    | "touchMany"
    | "destroy"
    | "listByUser"
    | "destroyByUser"
    | "sweep"
    | "scan"
    | "count"
    | "clear",
    Statement
  >
>;

export function statementsOf(names: Names): Statements {
  const { table, fingerprint: lockKey } = names;
  const oneClock = `clock AS MATERIALIZED (SELECT ${clock} AS now)`;
  const now = "(SELECT now FROM clock)";
  const record = recordColumns("s", now);
  // These statements wait for no lock, so one reading of the clock serves all rows.
  const skippingHeldRows = `${oneClock},
locked AS MATERIALIZED (SELECT s.id FROM ${table} s WHERE s.id = ANY ($1::text[]) FOR NO KEY UPDATE SKIP LOCKED)`;
  const live = "s.expires_at > statement_timestamp()";
  const read = (payload?: string): string => `SELECT ${recordColumns("s", statementClock, payload)} FROM ${table} s`;
  return {
    get: statement("get", `${read("convert_from(s.payload, 'UTF8')")} WHERE s.id = $1::text AND ${live}`),
    getMany: statement("get", `${read("convert_from(s.payload, 'UTF8')")} WHERE s.id = ANY ($1::text[]) AND ${live}`),
    getBytes: statement("get", `${read()} WHERE s.id = ANY ($1::text[]) AND ${live}`),
    create: statement(
      "create",
      `${insertSession(names, {
        id: "$1::text",
        user: "$2::text",
        payload: "$3::bytea",
        idle: "$4::float8",
        absolute: "$5::float8",
        age: "$6::float8",
        inactive: "$7::float8",
        version: "$8::bigint",
        now: clock,
      })}
RETURNING ${recordColumns("s", later("s.created_at", "$6::float8"), "NULL")}`,
    ),
    createLimited: statement(
      "create",
      `SELECT r.status, to_json(r.evicted), ${recordColumns("(r.session)", "r.clock", "NULL")}
FROM ${names.create}($1::text, $2::text, $3::bytea, $4::float8, $5::float8, $6::float8, $7::float8, $8::bigint,
  $9::bigint, $10::boolean) r`,
    ),
    change: statement(
      "change",
      `SELECT r.status, to_json(r.evicted), ${recordColumns("(r.session)", "r.clock")}
FROM ${names.change}($1::text, $2::text, $3::bigint, $4::bytea, $5::boolean, $6::text, $7::float8, $8::float8,
  $9::bigint, $10::boolean) r`,
    ),
    // Locks the row first and reads the clock after that: the session may have expired during the wait. A conflict returns
    // the locked row, which is newer than the snapshot of the statement.
    update: statement(
      "update",
      `WITH locked AS MATERIALIZED (SELECT s.* FROM ${table} s WHERE s.id = $1::text FOR NO KEY UPDATE),
live AS MATERIALIZED (
  SELECT l.* FROM (SELECT l.*, ${clock} AS now FROM locked l) l WHERE l.expires_at > l.now
), written AS (
  UPDATE ${table} s SET ${changedColumns(changeParameters)}
  FROM live l WHERE s.id = l.id AND ($2::bigint IS NULL OR l.version = $2)
  RETURNING ${recordColumns("s", "l.now", "CASE WHEN $3::bytea IS NULL THEN encode(s.payload, 'hex') END")}
)
SELECT 'written', '[]', w.* FROM written w
UNION ALL SELECT 'conflict', '[]', ${recordColumns("l", "l.now")}
FROM live l WHERE NOT EXISTS (SELECT FROM written)`,
    ),
    // All payloads are one parameter, which is cut here: an array would carry each of them in hex, twice as long.
    updateMany: statement(
      "update",
      `WITH ${skippingHeldRows}
UPDATE ${table} s SET ${changedColumns({ payload: "c.payload", setsUser: "false", user: "NULL::text", idle: "c.idle", ends: "s.ends_at", now: "c.now" })}
FROM (
  SELECT l.id, w.version, substr($3::bytea, w.start, w.length) AS payload, w.idle, ${now} AS now
  FROM locked l JOIN unnest($1::text[], $2::bigint[], $4::int[], $5::int[], $6::float8[])
    AS w (id, version, start, length, idle) ON w.id = l.id
  OFFSET 0 -- each payload is cut once
) c WHERE s.id = c.id AND s.expires_at > c.now AND (c.version IS NULL OR s.version = c.version)
RETURNING ${recordColumns("s", "c.now", "NULL")}`,
    ),
    touch: statement(
      "touch",
      `WITH locked AS MATERIALIZED (SELECT s.id FROM ${table} s WHERE s.id = $1::text FOR NO KEY UPDATE),
clock AS MATERIALIZED (SELECT l.id, ${clock} AS now FROM locked l)
UPDATE ${table} s SET ${touchedColumns("$2::float8", "$3::boolean", "c.now")}
FROM clock c WHERE s.id = c.id AND s.expires_at > c.now RETURNING 1`,
    ),
    touchMany: statement(
      "touch",
      `WITH ${skippingHeldRows}
UPDATE ${table} s SET ${touchedColumns("c.idle", "c.shorten", "c.now")}
FROM (
  SELECT l.id, w.idle, w.shorten, ${now} AS now
  FROM locked l JOIN unnest($1::text[], $2::float8[], $3::boolean[]) AS w (id, idle, shorten) ON w.id = l.id
) c WHERE s.id = c.id AND s.expires_at > c.now RETURNING s.id`,
    ),
    destroy: statement(
      "destroy",
      `DELETE FROM ${table} s WHERE s.id = $1::text AND s.expires_at > clock_timestamp()
RETURNING s.user_id, (s.expires_at > clock_timestamp())::text`,
    ),
    listByUser: statement(
      "listByUser",
      `WITH ${oneClock} SELECT ${record} FROM ${table} s
WHERE s.user_id = $1::text AND s.expires_at > ${now} ORDER BY s.created_at, s.id`,
    ),
    destroyByUser: statement("destroyByUser", `SELECT * FROM ${names.destroyByUser}($1::text, $2::text)`),
    // One node sweeps at a time, because others would walk over the same rows. The statement tries the lock once.
    sweep: statement(
      "sweep",
      `WITH ended AS MATERIALIZED (
  SELECT s.id, s.user_id, s.sweep_at FROM ${table} s
  WHERE (SELECT pg_try_advisory_xact_lock(hashtextextended('sojourn sweep ${lockKey}', 0)))
    AND s.sweep_at >= to_timestamp($2::float8 / 1000) AND s.sweep_at <= (SELECT ${clock}) AND s.expires_at <= ${clock}
  ORDER BY s.sweep_at LIMIT $1::bigint FOR UPDATE SKIP LOCKED
), gone AS (DELETE FROM ${table} s USING ended e WHERE s.id = e.id)
SELECT e.id, e.user_id, ${epochMs("e.sweep_at")} FROM ended e`,
    ),
    scan: statement(
      "scan",
      `WITH ${oneClock} SELECT ${record} FROM ${table} s
WHERE s.id > $1::text AND s.expires_at > ${now} ORDER BY s.id LIMIT $2::bigint`,
    ),
    count: statement(
      "count",
      `SELECT coalesce(sum(u.sessions), 0)::text, coalesce(sum(u.sessions) FILTER (WHERE u.user_id IS NOT NULL), 0)::text,
  count(u.user_id)::text
FROM (SELECT s.user_id, count(*) AS sessions FROM ${table} s
  WHERE s.expires_at > (SELECT ${clock}) AND s.id NOT LIKE '${aliasPrefix}%' GROUP BY s.user_id) u`,
    ),
    clear: statement(
      "clear",
      `WITH ${oneClock}, batch AS MATERIALIZED (
  SELECT s.id FROM ${table} s
  WHERE s.id > $1::text AND ($2::float8 IS NULL OR s.created_at <= to_timestamp($2 / 1000))
  ORDER BY s.id LIMIT $3::bigint FOR UPDATE
), gone AS (DELETE FROM ${table} s USING batch b WHERE s.id = b.id)
SELECT count(*)::text, max(b.id), ${epochMs(now)} FROM batch b`,
    ),
  };
}

const changeParameters = {
  payload: "$3::bytea",
  setsUser: "$4::boolean",
  user: "$5::text",
  idle: "$6::float8",
  ends: "s.ends_at",
  now: "l.now",
};

/**
 * Returns the columns that `readRecord` reads, in its order. All numbers share one column, because each column costs the
 * driver its description in every answer.
 */
function recordColumns(row: string, now: string, payload = `encode(${row}.payload, 'hex')`): string {
  const times = ["created_at", "last_active_at", "expires_at", "ends_at"].map((column) => epochMs(`${row}.${column}`));
  return `${row}.id, ${row}.user_id, ${payload}, ${[`${row}.version::text`, ...times, epochMs(now)].join(" || ' ' || ")}`;
}

/**
 * Returns epoch milliseconds as text. `date_part` computes with floats, which hold milliseconds exactly once the cast has
 * rounded them; `extract` computes with numerics and takes a sixth of a read's time. The text of a float would lose digits.
 */
function epochMs(time: string): string {
  return `(date_part('epoch', ${time}) * 1000)::bigint::text`;
}

const reads: ReadonlySet<string> = new Set(["check", "get", "listByUser", "scan", "count"]);

export function statement(operation: string, text: string): Statement {
  return { text, name: `sojourn_${operation}_${fingerprint(text)}`, isRead: reads.has(operation) };
}
