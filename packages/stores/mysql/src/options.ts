import {
  defaultTimeoutMs,
  describe,
  invalidOption,
  refuseUnknownOptions,
  type SessionError,
} from "@sojourn/core/adapter";
import type { MySQLPool } from "./connection.js";
import { isTableName, type Names, namesOf } from "./names.js";

const packageName = "@sojourn/mysql";

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
  /** How long one operation may take, in milliseconds, the wait for a connection included. Default 2000. */
  readonly timeoutMs?: number | undefined;
}

export interface ResolvedOptions {
  readonly pool: MySQLPool;
  readonly names: Names;
  readonly timeoutMs: number;
}

export function resolveOptions(options: MySQLStoreOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(packageName, "options", "an object with a pool", options);
  }
  refuseUnknownOptions(packageName, options, ["pool", "table", "timeoutMs"]);
  const { pool, table, timeoutMs = defaultTimeoutMs } = options;
  // A pool of promises is a shell around one of callbacks.
  const core = typeof pool === "object" && pool !== null && "pool" in pool ? pool.pool : pool;
  if (typeof core?.getConnection !== "function" || typeof core.promise !== "function") {
    throw invalidOption(packageName, "pool", "a pool of mysql2 or mysql2/promise", pool);
  }
  // Timers take no more than 31 bits: a longer one would fire at once.
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > 2_147_483_647) {
    throw invalidOption(packageName, "timeoutMs", "an integer from 1 to 2147483647", timeoutMs);
  }
  return { pool: core, names: resolveTable(table), timeoutMs };
}

export function resolveTable(table: unknown = "sojourn_sessions"): Names {
  if (isTableName(table)) return namesOf(table);
  const expectation = "1 to 57 characters without NUL, up to U+FFFF, the last one not a space";
  throw invalidOption(packageName, "table", expectation, table);
}

/** Refuses what cannot be the address of a server, without showing it: it holds a password. */
export function assertUrl(url: unknown): asserts url is string {
  if (typeof url === "string" && /^(mysql|mariadb):\/\//.test(url) && URL.canParse(url)) return;
  throw invalidUrl(url);
}

/** Says that it is no address, without showing it. */
export function invalidUrl(url: unknown): SessionError {
  const received = typeof url === "string" ? "something else" : describe(url);
  return invalidOption(
    packageName,
    "url",
    `a URL that mysql2 can read, such as mysql://user:password@host/database`,
    received,
  );
}
