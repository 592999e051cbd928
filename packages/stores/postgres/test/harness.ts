import { PostgresStore, type PostgresStoreOptions } from "@sojourn/postgres";
import type { ConformanceHarness } from "@sojourn/testkit";
import pg from "pg";

/** Returns a pool whose lost connections do not end the test run. */
export function openPool(connectionString: string, config: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 20, allowExitOnIdle: true, ...config });
  pool.on("error", () => {});
  return pool;
}

/** Returns a store with its schema, and with a timeout for a busy machine. */
export async function openStore(options: PostgresStoreOptions): Promise<PostgresStore> {
  const store = new PostgresStore({ timeoutMs: 10_000, ...options });
  await store.ensureSchema();
  return store;
}

export interface HarnessOptions extends Omit<PostgresStoreOptions, "pool"> {
  readonly outage?: ConformanceHarness["outage"];
}

export function harnessOn(
  name: string,
  pool: pg.Pool,
  { schema = "public", outage, ...options }: HarnessOptions = {},
): ConformanceHarness {
  const waits = countWaits(pool);
  const quote = (table: string): string => `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(table)}`;
  return {
    name,
    open: (table) => openStore({ ...options, pool, schema, table }),
    // A namespace is a name of at most 63 bytes, not any text.
    awkwardNamespaces: ["Select", 'a"b', "a'b", "a\\b", "a;b--", "a b", "a.b", "%_", "$s$", "ü😀", "x".repeat(63)],
    async corrupt(table, id) {
      await pool.query(`UPDATE ${quote(table)} SET payload = $2 WHERE id = $1`, [id, Buffer.of(0xff)]);
    },
    async footprint(table) {
      const { rows } = await pool.query(`SELECT count(*)::int AS rows FROM ${quote(table)}`);
      return rows[0].rows;
    },
    roundTrips: {
      async count(operation) {
        const before = waits();
        await operation();
        return waits() - before;
      },
      promised: {
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
      },
    },
    ...(outage === undefined ? {} : { outage }),
  };
}

/** Returns a function that counts the round trips of a pool's clients: how often the server has reported that it is ready. */
export function countWaits(pool: pg.Pool): () => number {
  let waits = 0;
  pool.on("connect", (client) => {
    // The connection is public, but missing from the declarations.
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
    connection.on("readyForQuery", () => {
      waits += 1;
    });
  });
  return () => waits;
}
