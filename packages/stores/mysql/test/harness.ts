import { type MySQLConnection, type MySQLPool, MySQLStore, type MySQLStoreOptions } from "@sojourn/mysql";
import type { ConformanceHarness } from "@sojourn/testkit";
import { createPool, type Pool, type PoolOptions } from "mysql2/promise";

export function openPool(uri: string, options: PoolOptions = {}): Pool {
  return createPool({ uri, connectionLimit: 10, ...options });
}

/** A store with its schema done, patient enough for a busy machine. */
export async function openStore(options: MySQLStoreOptions): Promise<MySQLStore> {
  const store = new MySQLStore({ timeoutMs: 10_000, ...options });
  await store.ensureSchema();
  return store;
}

export interface HarnessOptions {
  /** Whether the store works by procedures. */
  readonly procedures: boolean;
  /** Default true. */
  readonly hasAutocommit?: boolean;
  readonly outage?: ConformanceHarness["outage"];
  /** For looking at tables and damaging them. */
  readonly admin: Pool;
}

export function harnessOn(
  name: string,
  pool: Pool,
  { procedures, hasAutocommit = true, outage, admin }: HarnessOptions,
): ConformanceHarness {
  let statements = 0;
  const counted = beforeEachStatement(pool.pool, () => {
    statements += 1;
  });
  return {
    name,
    open: (table) => openStore({ pool: counted, table, procedures }),
    // The adapter must take any name of a table, not any text.
    awkwardNamespaces: [
      "Select",
      "select",
      'a"b',
      "a'b",
      "a`b",
      "a\\b",
      "a;b--",
      "a b",
      "a.b",
      "%_",
      "?",
      "ü",
      "x".repeat(57),
    ],
    async corrupt(table, id) {
      await admin.execute(`UPDATE ${quote(table)} SET payload = X'ff' WHERE id = ?`, [Buffer.from(id)]);
    },
    async footprint(table) {
      const tables = [quote(table), quote(`${table}_guards`)];
      const counts = await Promise.all(tables.map((each) => selectNumber(admin, `SELECT COUNT(*) FROM ${each}`)));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    roundTrips: {
      // Each connection prepares each statement once; that is not counted here, and is not paid again.
      async count(operation) {
        const before = statements;
        await operation();
        return statements - before;
      },
      promised: procedures ? oneEach : { ...byTransactions, ...(hasAutocommit ? {} : withoutAutocommit) },
    },
    ...(outage === undefined ? {} : { outage }),
  };
}

type Promised = NonNullable<ConformanceHarness["roundTrips"]>["promised"];

const oneEach: Promised = {
  get: 1,
  create: 1,
  createWithLimit: 1,
  createEvicting: 1,
  update: 1,
  updateConflict: 1,
  touch: 1,
  rename: 1,
  destroy: 1,
  listByUser: 1,
  destroyByUser: 1,
};

const byTransactions: Promised = {
  get: 1,
  create: 3,
  createWithLimit: 5,
  createEvicting: 6,
  update: 4,
  updateConflict: 4,
  touch: 1,
  rename: 4,
  destroy: 3,
  listByUser: 1,
  destroyByUser: 5,
};

/** Where a statement does not commit by itself. With `completion_type` CHAIN, a commit is followed by another. */
const withoutAutocommit: Promised = {
  get: 4,
  create: 5,
  createWithLimit: 6,
  createEvicting: 7,
  update: 5,
  updateConflict: 5,
  touch: 3,
  rename: 5,
  destroy: 6,
  listByUser: 5,
  destroyByUser: 6,
};

/** The pool, but it tells of each statement that it is about to send. */
function beforeEachStatement(pool: MySQLPool, notice: () => void): MySQLPool {
  const wrapped = new WeakMap<MySQLConnection, MySQLConnection>();
  const wrap = (connection: MySQLConnection): MySQLConnection => {
    const known = wrapped.get(connection) ?? counting(connection);
    wrapped.set(connection, known);
    return known;
  };
  const counting = (connection: MySQLConnection): MySQLConnection => ({
    ...(connection.config && { config: connection.config }),
    execute(query, values, callback) {
      notice();
      return connection.execute(query, values, callback);
    },
    query(sql, callback) {
      notice();
      return connection.query(sql, callback);
    },
    release: () => connection.release(),
    destroy: () => connection.destroy(),
  });
  return {
    getConnection: (callback) =>
      pool.getConnection((error, connection) => callback(error, error ? connection : wrap(connection))),
    promise: () => pool.promise(),
  };
}

export async function selectNumber(pool: Pool, sql: string): Promise<number> {
  const [rows] = await pool.query({ sql, rowsAsArray: true });
  return Number((rows as unknown[][])[0]?.[0]);
}

export function quote(identifier: string): string {
  return `\`${identifier.replaceAll("`", "``")}\``;
}
