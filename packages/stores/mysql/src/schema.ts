import { type Connection, execute, type MySQLConnection, select } from "./connection.js";
import { isMissingTable, isProcedureThere } from "./errors.js";
import type { Names } from "./names.js";
import { resolveTable, type TableOptions } from "./options.js";
import { procedures, verbs } from "./procedures.js";

/** How long the creation may take in all, in milliseconds: other processes come first, and the server writes to disk. */
const creationTimeoutMs = 30_000;

/**
 * Procedures keep the mode under which they are created, whatever mode the calling connection has: strict, so that
 * nothing is ever cut to fit, and without the modes that change how SQL reads.
 */
const setSqlMode = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'";

/**
 * The SQL that `ensureSchema()` runs, one statement per element, for those who run their own migrations.
 *
 * All on one connection, in this order. Tables are created unless they exist; `CREATE PROCEDURE` of one that exists
 * answers errno 1304.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function schemaSql(options: TableOptions = {}): readonly string[] {
  return statements(resolveTable(options.table));
}

/** Creates what is missing. A connection of its own: its mode changes, and its end releases the lock in any case. */
export async function createSchema(connections: Connection, names: Names): Promise<void> {
  await connections.withOwn("ensureSchema", creationTimeoutMs, async (connection) => {
    if (await isComplete(connection, names)) return;
    await lock(connection, names);
    if (await isComplete(connection, names)) return;
    for (const statement of statements(names)) {
      await define(connection, statement).catch((error: unknown) => {
        if (!isProcedureThere(error)) throw error;
      });
    }
    // Tables of these names that are none of ours say so here.
    await isComplete(connection, names);
  });
}

function statements(names: Names): string[] {
  const bodies = procedures(names);
  return [
    setSqlMode,
    ...tables(names),
    ...verbs.map((verb) => `CREATE PROCEDURE ${names.procedure(verb)} ${bodies[verb]}`),
  ];
}

/*
 * `pk`: a row keeps its place while its id changes. With the id as primary key, a rename moved a session behind the scan
 * of "log out everywhere", which then missed it.
 * VARBINARY: the default collations take "abc", "ABC" and "abc " for one id.
 * `expires_at` has no index, so a touch writes none. `sweep_at` is at most `expires_at` and moved on by the sweep alone:
 * its index is written once per idle period and not once per touch.
 */
function tables({ sessions, guards }: Names): string[] {
  return [
    `CREATE TABLE IF NOT EXISTS ${sessions} (
  pk BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  id VARBINARY(512) NOT NULL,
  user_id VARBINARY(512) NULL,
  payload MEDIUMBLOB NOT NULL,
  version BIGINT NOT NULL,
  created_at BIGINT NOT NULL COMMENT 'epoch milliseconds, as all that follow',
  last_active_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  ends_at BIGINT NOT NULL,
  sweep_at BIGINT NOT NULL,
  UNIQUE KEY by_id (id),
  KEY by_user (user_id, pk),
  KEY by_sweep_at (sweep_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
    `CREATE TABLE IF NOT EXISTS ${guards} (
  user_id VARBINARY(512) NOT NULL PRIMARY KEY,
  used_at BIGINT NOT NULL,
  KEY by_used_at (used_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC`,
  ];
}

async function isComplete(connection: MySQLConnection, names: Names): Promise<boolean> {
  try {
    await define(connection, `SELECT s.pk, g.used_at FROM ${names.sessions} s, ${names.guards} g LIMIT 0`);
  } catch (error) {
    if (isMissingTable(error)) return false;
    throw error;
  }
  const rows = await select(
    connection,
    "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_NAME LIKE ?",
    [Buffer.from(`sojourn_%_${names.suffix}`)],
  );
  return rows.length === verbs.length;
}

async function lock(connection: MySQLConnection, { suffix }: Names): Promise<void> {
  const name = Buffer.from(`sojourn_schema_${suffix}`);
  // Named locks hold on the whole server: the same table of another database merely waits its turn.
  await execute(connection, "DO GET_LOCK(?, ?)", [name, creationTimeoutMs / 1_000]);
}

/** Unprepared: not every server prepares data definition. */
function define(connection: MySQLConnection, sql: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.query(sql, (error, rows) => (error ? reject(error) : resolve(rows)));
  });
}
