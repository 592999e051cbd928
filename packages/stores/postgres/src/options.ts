import { defaultTimeoutMs, invalidOption, refuseUnknownOptions } from "@sojourn/core/adapter";
import { isName, type Names, namesOf } from "./names.js";
import type { PostgresPool } from "./pool.js";

export const packageName = "@sojourn/postgres";
const nameExpectation = "a name of 1 to 63 bytes of well-formed UTF-8 without NUL";

/** Where the sessions are. Two stores with different names never see each other's sessions. */
export interface TableOptions {
  /** The schema. Default `"public"`. */
  readonly schema?: string | undefined;
  /** The table. Default `"sojourn_sessions"`. */
  readonly table?: string | undefined;
}

export interface PostgresStoreOptions extends TableOptions {
  /** A `Pool` of `pg`. It stays the caller's: `close()` leaves it open. Give it a listener for `"error"`. */
  readonly pool: PostgresPool;
  /**
   * Whether statements are prepared once for each connection and then only named. Default true. Set it to false behind
   * PgBouncer in transaction mode, unless its `max_prepared_statements` is set.
   */
  readonly preparedStatements?: boolean | undefined;
  /** How long one operation may take, in milliseconds, the wait for a connection included. Default 2000. */
  readonly timeoutMs?: number | undefined;
}

export interface ResolvedOptions {
  readonly pool: PostgresPool;
  readonly names: Names;
  readonly preparedStatements: boolean;
  readonly timeoutMs: number;
}

export function resolveOptions(options: PostgresStoreOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(packageName, "options", "an object with a pool", options);
  }
  refuseUnknownOptions(packageName, options, ["pool", "schema", "table", "preparedStatements", "timeoutMs"]);
  const { pool, preparedStatements = true, timeoutMs = defaultTimeoutMs } = options;
  if (typeof pool?.connect !== "function") throw invalidOption(packageName, "pool", "a Pool of pg", pool);
  if (typeof preparedStatements !== "boolean") {
    throw invalidOption(packageName, "preparedStatements", "a boolean", preparedStatements);
  }
  // Timers take no more than 31 bits: a longer one would fire at once.
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2_147_483_647) {
    throw invalidOption(packageName, "timeoutMs", "an integer from 1 to 2147483647", timeoutMs);
  }
  return { pool, names: resolveNames(options), preparedStatements, timeoutMs };
}

export function resolveNames({ schema = "public", table = "sojourn_sessions" }: TableOptions): Names {
  if (!isName(schema)) throw invalidOption(packageName, "schema", nameExpectation, schema);
  if (!isName(table)) throw invalidOption(packageName, "table", nameExpectation, table);
  return namesOf(schema, table);
}
