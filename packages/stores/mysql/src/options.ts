import { type CredentialsFunction, defaultTimeoutMs, invalidOption, requireOptions } from "@sojourn/core/adapter";
import type { PoolOptions } from "mysql2/promise";
import { isTableName, type Names, namesOf } from "./names.js";
import type { MySQLPool } from "./pool.js";

export const packageName = "@sojourn/mysql";

/** Where the sessions are. Two stores with different tables never see each other's sessions. */
export interface TableOptions {
  /**
   * The table, in the database that the connections have selected: 1 to 57 characters up to U+FFFF, the last one not a
   * space. Default `"sojourn_sessions"`.
   */
  readonly table?: string | undefined;
}

export interface MySQLStoreOptions extends TableOptions {
  /** A pool of `mysql2/promise` or of `mysql2`. It stays the caller's: `close()` leaves it open. */
  readonly pool: MySQLPool | { readonly pool: MySQLPool };
  /**
   * Whether the store works by stored procedures, one round trip an operation, or by transactions of plain statements.
   * Default: by procedures, and by transactions where the server has none or the user may not create or call them.
   */
  readonly procedures?: boolean | undefined;
  /** How long one operation may take, in milliseconds, the wait for a connection included. Default 2000. */
  readonly timeoutMs?: number | undefined;
}

export interface MySQLUrlOptions extends Omit<MySQLStoreOptions, "pool"> {
  /** Options of the pool for `mysql2`, such as `{ ssl: { ca }, connectionLimit: 20 }`. They override those of the URL. */
  readonly driverOptions?: PoolOptions | undefined;
  /** Returns the credentials for each new connection, for passwords that rotate. They override those of the URL. */
  readonly credentials?: CredentialsFunction | undefined;
}

/** The names of {@link MySQLUrlOptions}. */
export const urlOptions: readonly string[] = ["table", "procedures", "timeoutMs", "driverOptions", "credentials"];

export interface ResolvedOptions {
  readonly pool: MySQLPool;
  readonly names: Names;
  readonly timeoutMs: number;
  readonly procedures: boolean | undefined;
}

export function resolveOptions(options: MySQLStoreOptions): ResolvedOptions {
  requireOptions(options, {
    packageName,
    usage: "new MySQLStore({ pool }) or MySQLStore.fromUrl(url)",
    known: ["pool", "table", "procedures", "timeoutMs"],
  });
  const { pool, table, procedures } = options;
  // A pool of promises is a shell around one of callbacks.
  const core = typeof pool === "object" && pool !== null && "pool" in pool ? pool.pool : pool;
  if (typeof core?.getConnection !== "function" || typeof core.promise !== "function") {
    throw invalidOption(
      packageName,
      "pool",
      "a pool of mysql2 or mysql2/promise, as createPool(config) makes it",
      pool,
    );
  }
  if (procedures !== undefined && typeof procedures !== "boolean") {
    throw invalidOption(packageName, "procedures", "a boolean", procedures);
  }
  return { pool: core, names: resolveTable(table), timeoutMs: resolveTimeout(options.timeoutMs), procedures };
}

export function resolveTimeout(timeoutMs: unknown = defaultTimeoutMs): number {
  // Timers take no more than 31 bits: a longer one would fire at once.
  const isValid = Number.isInteger(timeoutMs) && Number(timeoutMs) >= 1 && Number(timeoutMs) <= 2_147_483_647;
  if (isValid) return Number(timeoutMs);
  throw invalidOption(packageName, "timeoutMs", "an integer from 1 to 2147483647", timeoutMs);
}

export function resolveTable(table: unknown = "sojourn_sessions"): Names {
  if (isTableName(table)) return namesOf(table);
  const expectation = "1 to 57 characters without NUL, up to U+FFFF, the last one not a space";
  throw invalidOption(packageName, "table", expectation, table);
}
