/*
 * As much of `mysql2` as the store uses. Callbacks, because connections that answer by promise cost a fifth of a read more:
 * mysql2 wraps each one whenever it is lent, and keeps a stack trace for each call.
 */

export interface MySQLPool {
  getConnection(callback: (error: Error | null, connection: MySQLConnection) => void): void;
  /** Tells this pool from a pool of promises. */
  promise(): unknown;
}

/** A connection that the pool has lent. */
export interface MySQLConnection {
  /** The form of its rows where a query names none. */
  readonly config?: { readonly [Option in keyof RowForm]?: unknown };
  /** When the connection was opened or last given back, in epoch milliseconds. */
  readonly lastActiveTime?: number;
  /** Prepared on the server, values apart from the text: nothing in a value can become SQL, under any `sql_mode`. */
  execute(query: string | MySQLQuery, values: MySQLValue[], callback: MySQLCallback): unknown;
  /** For statements without values: data definition and the ends of transactions cannot be prepared everywhere. */
  query(sql: string, callback: MySQLCallback): unknown;
  release(): void;
  destroy(): void;
}

export type MySQLCallback = (error: Error | null, rows: unknown) => void;

/** Text travels as a buffer, so that no character set of the connection touches it. */
export type MySQLValue = Buffer | number | null;

/** The form of rows that this package reads. */
export interface RowForm {
  readonly rowsAsArray: false;
  readonly nestTables: false;
  readonly typeCast: true | ((field: unknown, next: () => unknown) => unknown);
}

/** A query that fixes the form of its rows, whatever the pool is set to. */
export interface MySQLQuery extends RowForm {
  readonly sql: string;
}
