import { startMySQL } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { harnessOn, openPool } from "./harness.js";

const server = await startMySQL();
const pool = openPool(server.url);
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const outage = { begin: () => server.kill(), end: () => server.restart() };
describeConformance(harnessOn("mariadb", pool, { outage }), { describe, test });
