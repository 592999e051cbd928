import { PostgresStore } from "@sojourn/postgres";
import { resolvePostgres, startPostgres } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { afterAll, describe, expect, test } from "vitest";
import { harnessOn, openPool } from "./harness.js";
import { pgBouncer, startPgBouncer } from "./pgbouncer.js";

const plain = await resolvePostgres();
const abroad = await startPostgres({ settings: { timezone: "America/Los_Angeles" } });
const pooler = pgBouncer === undefined ? undefined : await startPgBouncer(pgBouncer, abroad.port);
// The server may outlive this run, so all tables of this run are in one schema, which is removed at the end.
const schema = `conformance ${process.pid}`;
const pool = openPool(plain.url);
afterAll(async () => {
  await pool.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`);
  await pooler?.stop();
  await Promise.all([plain.stop(), abroad.stop()]);
});

describeConformance(harnessOn("postgres", pool, { schema }), { describe, test });

process.env.TZ = "Asia/Tokyo";
const tokyo = openPool(abroad.url, { options: "-c TimeZone=Asia/Tokyo" });
const outage = { begin: () => abroad.kill(), end: () => abroad.restart() };
describeConformance(harnessOn("postgres in Los Angeles, client in Tokyo", tokyo, { outage }), { describe, test });

/** Settings that a role, a database or a URL may have, each with its most harmful value. */
const settings = {
  default_transaction_isolation: "serializable",
  search_path: "pg_temp",
  bytea_output: "escape",
  standard_conforming_strings: "off",
  DateStyle: "German",
  IntervalStyle: "sql_standard",
  extra_float_digits: "-15",
  plan_cache_mode: "force_generic_plan",
  "plpgsql.extra_errors": "all",
  "plpgsql.variable_conflict": "use_column",
};
const options = Object.entries(settings).map(([name, value]) => `-c ${name}=${value}`);
const { roundTrips: _, ...setOtherwise } = harnessOn(
  "postgres with other settings",
  // pg's declarations lack `binary`, which makes the server send integers and booleans as bytes.
  openPool(plain.url, Object.assign({ options: options.join(" ") }, { binary: true })),
  { schema },
);
// Round trips are not asserted: at another default isolation level, each statement needs a BEGIN and a COMMIT.
describeConformance(setOtherwise, { describe, test });

if (pooler === undefined) {
  test.skip("conformance behind PgBouncer: pgbouncer is not installed (apt-get install pgbouncer)", () => {});
} else {
  const pooled = openPool(pooler.url);
  const harness = harnessOn("postgres behind PgBouncer in transaction mode", pooled, { preparedStatements: false });
  describeConformance(harness, { describe, test });

  test("behind PgBouncer in transaction mode, named statements that get lost are sent again without a name", async () => {
    await harness.open("lost");
    const store = new PostgresStore({ pool: pooled, table: "lost", timeoutMs: 10_000 });
    const lifetime = { idleMs: 60_000, absoluteMs: 60_000 };
    const ids = Array.from({ length: 200 }, (_, n) => `a${n}`);
    const created = await Promise.all(ids.map((id) => store.create({ id, payload: "p", ...lifetime })));
    expect(created.filter(({ status }) => status === "created")).toHaveLength(200);
    expect(await Promise.all(ids.map((id) => store.destroy(id)))).toEqual(ids.map((id) => ({ id, userId: undefined })));
    expect(await store.count()).toMatchObject({ sessions: 0 });
  });
}
