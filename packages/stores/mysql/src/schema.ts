import { type Call, refuseUnknownOptions, SessionError } from "@sojourn/core/adapter";
import type { Connection } from "./connection.js";
import { isDenied, isMissingTable, isProcedureThere, lacksProcedure } from "./errors.js";
import { type Names, procedureNames } from "./names.js";
import { packageName, type ResolvedOptions, resolveTable, type TableOptions } from "./options.js";
import type { MySQLConnection } from "./pool.js";
import { procedures } from "./procedures.js";
import { insertedColumns } from "./sql.js";
import { execute, select, send } from "./statement.js";

/** How long the creation may take in all, in milliseconds: other processes come first, and the server writes to disk. */
export const creationTimeoutMs = 30_000;

/**
 * Procedures keep the mode under which they are created, whatever mode the calling connection has: strict, so that
 * nothing is ever cut to fit, and without the modes that change how SQL reads.
 */
const setSqlMode = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'";

export interface SchemaOptions extends TableOptions {
  /** Whether the statements for the procedures are included. Default true. */
  readonly procedures?: boolean | undefined;
}

/**
 * Returns the SQL that `ensureSchema()` runs, one statement per element, for applications with migrations of their own.
 *
 * All on one connection, in this order. Tables are created unless they exist; `CREATE PROCEDURE` of one that exists
 * answers errno 1304.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function schemaSql(options: SchemaOptions = {}): readonly string[] {
  refuseUnknownOptions(packageName, options, ["table", "procedures"]);
  const { table, procedures: hasProcedures = true } = options;
  const names = resolveTable(table);
  return [setSqlMode, ...tables(names), ...(hasProcedures ? procedureStatements(names) : [])];
}

/**
 * Creates the tables and procedures that are missing, and checks the privileges that later calls need.
 *
 * @returns whether the store can work by procedures
 */
export function ensureSchema(
  connections: Connection,
  { names, procedures: wanted }: ResolvedOptions,
  call: Call,
): Promise<boolean> {
  // The connection's mode changes, and its end releases the lock in any case.
  const isLast = { isLast: true };
  const ensure = async (connection: MySQLConnection): Promise<boolean> => {
    await send(connection, "SET SESSION TRANSACTION READ WRITE");
    await send(connection, setSqlMode);
    const schema = new Schema(connection, names);
    await schema.createTables();
    const hasProcedures = wanted !== false && (await schema.createProcedures(wanted === true));
    await schema.checkPrivileges();
    if (hasProcedures) await schema.checkBinaryLog();
    return hasProcedures;
  };
  return connections.run(call, ensure, isLast);
}

/** The set-up on one connection. */
class Schema {
  readonly #connection: MySQLConnection;
  readonly #names: Names;

  constructor(connection: MySQLConnection, names: Names) {
    this.#connection = connection;
    this.#names = names;
  }

  async createTables(): Promise<void> {
    if (await this.#hasTables()) return;
    for (const sql of tables(this.#names)) await this.#needing("CREATE", () => send(this.#connection, sql));
    // Tables of these names that are none of ours say so here.
    await this.#hasTables();
  }

  /** @param isRequired - whether it is an error when the server has no procedures, or the user may not create them */
  async createProcedures(isRequired: boolean): Promise<boolean> {
    try {
      if (await this.#hasProcedures()) return true;
      await this.#lock();
      if (await this.#hasProcedures()) return true;
      for (const sql of procedureStatements(this.#names)) await this.#createProcedure(sql);
      if (await this.#hasProcedures()) return true;
      if (isRequired) throw this.#lacking("EXECUTE");
    } catch (error) {
      if (isRequired || !(isDenied(error) || lacksProcedure(error)))
        throw isDenied(error) ? this.#lacking("CREATE ROUTINE", error) : error;
    }
    return false;
  }

  /** Each statement changes nothing: no row has these keys. */
  async checkPrivileges(): Promise<void> {
    const { sessions, guards } = this.#names;
    const checks: readonly (readonly [privilege: string, sql: string])[] = [
      ["SELECT", `SELECT pk FROM ${sessions} WHERE pk = 0`],
      [
        "INSERT",
        `INSERT INTO ${sessions} (${insertedColumns}) SELECT ${insertedColumns} FROM ${sessions} WHERE pk = 0`,
      ],
      ["UPDATE", `UPDATE ${sessions} SET version = version WHERE pk = 0`],
      ["DELETE", `DELETE FROM ${sessions} WHERE pk = 0`],
      ["SELECT", `SELECT used_at FROM ${guards} WHERE user_id = ''`],
      ["INSERT", `INSERT INTO ${guards} (user_id, used_at) SELECT user_id, used_at FROM ${guards} WHERE user_id = ''`],
      ["UPDATE", `UPDATE ${guards} SET used_at = used_at WHERE user_id = ''`],
      ["DELETE", `DELETE FROM ${guards} WHERE user_id = ''`],
    ];
    for (const [privilege, sql] of checks) await this.#needing(privilege, () => send(this.#connection, sql));
  }

  /** The procedures run at READ COMMITTED, which statement-based replication refuses at the first write. */
  async checkBinaryLog(): Promise<void> {
    const [row] = await select(this.#connection, "SELECT @@log_bin AS is_on, @@binlog_format AS format", []);
    if (Number(row?.is_on) !== 1 || String(row?.format) !== "STATEMENT") return;
    const message =
      '@sojourn/mysql: ensureSchema: the server needs binlog_format "ROW" or "MIXED", and has "STATEMENT"';
    throw new SessionError("BACKEND", message);
  }

  async #hasTables(): Promise<boolean> {
    const { sessions, guards } = this.#names;
    try {
      await send(this.#connection, `SELECT s.pk, g.used_at FROM ${sessions} s, ${guards} g LIMIT 0`);
      return true;
    } catch (error) {
      if (isMissingTable(error)) return false;
      throw isDenied(error) ? this.#lacking("SELECT", error) : error;
    }
  }

  /** The server lists the procedures that the user may call or alter. One of them is called, to tell these apart. */
  async #hasProcedures(): Promise<boolean> {
    const sql = `SELECT COUNT(*) AS procedures FROM information_schema.ROUTINES
      WHERE ROUTINE_SCHEMA = DATABASE() AND ROUTINE_NAME LIKE ?`;
    const [row] = await select(this.#connection, sql, [Buffer.from(`sojourn_%_${this.#names.suffix}`)]);
    if (Number(row?.procedures) !== procedureNames.length) return false;
    try {
      await execute(this.#connection, `CALL ${this.#names.procedure("get")}(?, ?)`, [Buffer.from(""), null]);
      return true;
    } catch (error) {
      if (lacksProcedure(error)) return false;
      throw error;
    }
  }

  async #createProcedure(sql: string): Promise<void> {
    try {
      await send(this.#connection, sql);
    } catch (error) {
      if (!isProcedureThere(error)) throw error;
    }
  }

  async #lock(): Promise<void> {
    const name = Buffer.from(`sojourn_schema_${this.#names.suffix}`);
    // Named locks hold on the whole server: the same table of another database merely waits its turn.
    await execute(this.#connection, "DO GET_LOCK(?, ?)", [name, creationTimeoutMs / 1_000]);
  }

  async #needing(privilege: string, statement: () => Promise<unknown>): Promise<void> {
    try {
      await statement();
    } catch (error) {
      throw isDenied(error) ? this.#lacking(privilege, error) : error;
    }
  }

  #lacking(privilege: string, cause?: unknown): SessionError {
    const { sessions, guards } = this.#names;
    const message = `@sojourn/mysql: ensureSchema: the user lacks the privilege ${privilege} for the tables ${sessions} and ${guards} and their procedures`;
    return new SessionError("BACKEND", message, cause === undefined ? {} : { cause });
  }
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

function procedureStatements(names: Names): string[] {
  const bodies = procedures(names);
  return procedureNames.map((name) => `CREATE PROCEDURE ${names.procedure(name)} ${bodies[name]}`);
}
