import { startMySQL } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { harnessOn, openPool } from "./harness.js";

const plain = await startMySQL();
const hostile = await startMySQL({
  timeZone: "America/New_York",
  args: [
    "--autocommit=0",
    "--transaction-isolation=SERIALIZABLE",
    "--completion-type=CHAIN",
    "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE,IGNORE_SPACE",
  ],
});
const plainPool = openPool(plain.url);
const hostilePool = openPool(hostile.url, { charset: "latin1_swedish_ci", flags: ["-FOUND_ROWS"] });
const admin = openPool(hostile.url);
admin.on("connection", (connection) => connection.query("SET autocommit = 1, completion_type = 0"));
afterAll(async () => {
  await Promise.all([plainPool.end(), hostilePool.end(), admin.end()]);
  await Promise.all([plain.stop(), hostile.stop()]);
});

const outage = { begin: () => plain.kill(), end: () => plain.restart() };
describeConformance(harnessOn("mariadb", plainPool, { outage, admin: plainPool }), { describe, test });
describeConformance(
  harnessOn("mariadb, all settings against us", hostilePool, { admin }),
  { describe, test },
  { rounds: 5 },
);
