/*
 * The part of `pg` that the store uses. A wrapper around a pool or a client that answers only by promise works too.
 */

export interface PostgresPool {
  connect(callback: (error: Error | undefined, client: PostgresClient | undefined) => void): unknown;
  /** Tells the store which connections are new. */
  on?(event: "connect", listener: (client: PostgresClient) => void): unknown;
  /** Options of the clients, of which the store reads `stream`. */
  readonly options?: object | undefined;
}

/** A connection of the pool. */
export interface PostgresClient {
  query(query: PostgresQuery, callback: (error: Error | null, result: PostgresResult | undefined) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** Gives the connection back to the pool, or closes it when `destroy` is true. */
  release(destroy?: boolean): void;
  /** The socket of the connection. Lets the store close a silent connection at once. */
  readonly connection?: { readonly stream?: { destroy(): unknown } } | undefined;
}

export interface PostgresResult {
  readonly rows: unknown[];
}

/** A query in the form that `pg` takes. */
export interface PostgresQuery {
  readonly text: string;
  readonly rowMode: "array";
  readonly name?: string;
  // pg's declarations require a mutable array.
  readonly values?: unknown[];
  readonly types?: { getTypeParser(): (value: string) => string };
}
