/** Sends single statements on a lent connection, and returns their answers. */

import type { MySQLConnection, MySQLQuery, MySQLValue } from "./pool.js";
import type { Row } from "./record.js";

/** The answer to a statement that returns no rows. */
export interface Changed {
  readonly affectedRows: number;
  /** Such as `Rows matched: 1  Changed: 0  Warnings: 0`. */
  readonly info?: string;
  /** Flags of the connection. Bit 0: a transaction is open. */
  readonly serverStatus?: number;
}

/** Returns the answer in the driver's own form. */
export function execute(connection: MySQLConnection, sql: string, values: MySQLValue[]): Promise<unknown> {
  const query = inOurForm(sql, connection.config ?? {});
  return new Promise((resolve, reject) => {
    connection.execute(query, values, (error, rows) => (error ? reject(error) : resolve(rows)));
  });
}

/** Returns the rows of a SELECT. */
export async function select(connection: MySQLConnection, sql: string, values: MySQLValue[]): Promise<Row[]> {
  // The driver's form for a SELECT.
  return (await execute(connection, sql, values)) as Row[];
}

/** Returns the result sets of a CALL. */
export async function call(connection: MySQLConnection, sql: string, values: MySQLValue[]): Promise<Row[][]> {
  // The driver's form for a CALL: an array for each result set, and last the header of the CALL itself.
  return ((await execute(connection, sql, values)) as unknown[]).slice(0, -1) as Row[][];
}

export async function change(connection: MySQLConnection, sql: string, values: MySQLValue[]): Promise<Changed> {
  // The driver's form for INSERT, UPDATE and DELETE.
  return (await execute(connection, sql, values)) as Changed;
}

/** Sends a statement without values as text. */
export function send(connection: MySQLConnection, sql: string): Promise<Changed> {
  return new Promise((resolve, reject) => {
    connection.query(sql, (error, answer) => (error ? reject(error) : resolve(answer as Changed)));
  });
}

/** Whether a statement left a transaction open: the connection has no autocommit, or was lent with one open. */
export function isInTransaction({ serverStatus = 0 }: Changed): boolean {
  return (serverStatus & 1) === 1;
}

/** A query with options costs mysql2 a fifth of a read: only where the connection's own form is another. */
function inOurForm(sql: string, own: NonNullable<MySQLConnection["config"]>): string | MySQLQuery {
  if (!own.rowsAsArray && !own.nestTables && own.typeCast === true) return sql;
  // mysql2 applies a pool's function to the first rows of a new form, unless the query brings another function.
  const typeCast = typeof own.typeCast === "function" ? asItComes : true;
  return { sql, rowsAsArray: false, nestTables: false, typeCast };
}

function asItComes(_field: unknown, next: () => unknown): unknown {
  return next();
}
