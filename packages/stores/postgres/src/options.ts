import { defaultTimeoutMs, invalidOption, requireOptions } from "@sojourn/core/adapter";
import { isName, type Names, namesOf } from "./names.js";
import type { PostgresPool } from "./pool.js";

export const packageName = "@sojourn/postgres";
const nameExpectation = "a name of 1 to 63 bytes of well-formed UTF-8 without NUL";

/** The place of the sessions. Two stores with different names never see each other's sessions. */
export interface TableOptions {
  /** The name of the schema. Default `"public"`. */
  readonly schema?: string | undefined;
  /** The name of the table. Default `"sojourn_sessions"`. */
  readonly table?: string | undefined;
}

export interface PostgresStoreOptions extends TableOptions {
  /**
   * A `Pool` of `pg`. `close()` leaves it open. Give it a listener for `"error"`, and set `connectionTimeoutMillis`: without
   * it an attempt to reach a silent host holds a place of the pool for minutes.
   */
  readonly pool: PostgresPool;
  /**
   * Whether each connection prepares a statement once and then sends only its name. Default true. Behind a pooler that loses
   * prepared statements, the store sends them again without a name and stops preparing; false spares it the discovery.
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
  requireOptions(options, {
    packageName,
    usage: "new PostgresStore({ pool }) or PostgresStore.fromUrl(url)",
    known: ["pool", "schema", "table", "preparedStatements", "timeoutMs"],
  });
  const { pool, preparedStatements = true, timeoutMs = defaultTimeoutMs } = options;
  if (typeof pool?.connect !== "function")
    throw invalidOption(packageName, "pool", "a Pool of pg, as new Pool(config) makes it", pool);
  // A Client of pg has `connect`, too, and is one connection.
  if ("connectionParameters" in pool) throw invalidOption(packageName, "pool", "a Pool of pg, not a Client", pool);
  if (typeof preparedStatements !== "boolean") {
    throw invalidOption(packageName, "preparedStatements", "a boolean", preparedStatements);
  }
  // A timer takes at most 31 bits, and a longer one fires at once.
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
