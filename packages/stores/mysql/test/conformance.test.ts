import { resolveMySQL, startMySQL } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { harnessOn, openPool } from "./harness.js";

const plain = await resolveMySQL();
// The server may be one that stays: this database is removed at the end of the run, with everything in it.
const database = `sojourn_conformance_${process.pid}`;
const owner = openPool(plain.url);
await owner.query(`CREATE DATABASE ${database}`);
const hostile = await startMySQL({
  timeZone: "America/New_York",
  args: [
    "--autocommit=0",
    "--transaction-isolation=SERIALIZABLE",
    "--completion-type=CHAIN",
    "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,IGNORE_SPACE",
  ],
});
const plainPool = openPool(plain.url, { database });
const hostilePool = openPool(hostile.url, { charset: "latin1_swedish_ci", flags: ["-FOUND_ROWS"] });
const admin = openPool(hostile.url);
admin.on("connection", (connection) => connection.query("SET autocommit = 1, completion_type = 0"));
afterAll(async () => {
  await owner.query(`DROP DATABASE ${database}`);
  await Promise.all([plainPool.end(), owner.end(), hostilePool.end(), admin.end()]);
  await Promise.all([plain.stop(), hostile.stop()]);
});

const outage = { begin: () => hostile.kill(), end: () => hostile.restart() };
for (const procedures of [true, false]) {
  const mode = procedures ? "by procedures" : "by transactions";
  describeConformance(harnessOn(`mysql or mariadb, ${mode}`, plainPool, { procedures, admin: plainPool }), {
    describe,
    test,
  });
  describeConformance(
    harnessOn(`mariadb, all settings against us, ${mode}`, hostilePool, {
      procedures,
      hasAutocommit: false,
      outage,
      admin,
    }),
    { describe, test },
    { rounds: 5 },
  );
}
