/*
 * As much of `pg` as the store uses. A wrapper that answers by promise alone, as a pool or as its clients, works as well.
 */

export interface PostgresPool {
  connect(callback: (error: Error | undefined, client: PostgresClient | undefined) => void): unknown;
  /** With it, the store knows which connections are new. */
  on?(event: "connect", listener: (client: PostgresClient) => void): unknown;
  /** Options of the clients, of which the store reads `stream`. */
  readonly options?: object | undefined;
}

/** A connection that the pool has lent. */
export interface PostgresClient {
  query(query: PostgresQuery, callback: (error: Error | null, result: PostgresResult | undefined) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
  /** Gives it back, or with `true` closes it. */
  release(destroy?: boolean): void;
  /** Lets the store close a silent connection at once. */
  readonly connection?: { readonly stream?: { destroy(): unknown } } | undefined;
}

export interface PostgresResult {
  readonly rows: unknown[];
}

/** A query as `pg` takes it. */
export interface PostgresQuery {
  readonly text: string;
  readonly rowMode: "array";
  readonly name?: string;
  // pg's own declarations ask for a mutable array.
  readonly values?: unknown[];
  readonly types?: { getTypeParser(): (value: string) => string };
}
