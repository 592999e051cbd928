import { PostgresStore, type PostgresPool } from "@sojourn/postgres";
import type { ResolvedServer } from "@sojourn/test-fixtures";
import type { ConformanceHarness } from "@sojourn/testkit";
import pg from "pg";

export function harnessOn(name: string, server: ResolvedServer): ConformanceHarness {
  const pool = new pg.Pool({ connectionString: server.url, max: 20 });
  pool.on("error", () => {});
  return {
    name,
    async open(namespace) {
      const store = new PostgresStore({ pool, table: namespace, timeoutMs: 10_000 });
      await store.ensureSchema();
      return store;
    },
    async corrupt(namespace, id) {
      await pool.query(`UPDATE "${namespace}" SET payload = '\\xff' WHERE id = $1`, [id]);
    },
    async footprint(namespace) {
      const { rows } = await pool.query(`SELECT count(*)::int AS n FROM "${namespace}"`);
      return rows[0].n;
    },
  };
}
