import { MySQLStore } from "@sojourn/mysql";
import { startMySQL } from "@sojourn/test-fixtures";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPool, openStore, selectNumber } from "./harness.js";

const hour = 3_600_000;
const session = { payload: "p", idleMs: hour, absoluteMs: hour };
const limit = { limit: { max: 1, whenReached: "evictOldest" } } as const;

const server = await startMySQL();
const admin = openPool(server.url);
const countProcedures = "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()";
let users = 0;

beforeAll(async () => {
  await openStore({ pool: admin, table: "there" });
});
afterAll(async () => {
  await admin.end();
  await server.stop();
});

/** Opens a store as a user who has these privileges alone. */
async function openAs(privileges: string, table: string, procedures?: boolean): Promise<MySQLStore> {
  users += 1;
  const user = `u${users}@'127.0.0.1'`;
  await admin.query(`CREATE USER ${user}`);
  await admin.query(`GRANT ${privileges} ON sojourn.* TO ${user}`);
  const url = `mysql://u${users}@127.0.0.1:${server.port}/sojourn`;
  return MySQLStore.fromUrl(url, { table, procedures, timeoutMs: 10_000 });
}

async function exercise(store: MySQLStore): Promise<void> {
  await store.create({ id: "a", userId: "u", ...session });
  expect(await store.create({ id: "b", userId: "u", ...session }, limit)).toMatchObject({ evicted: ["a"] });
  expect(await store.get("b")).toMatchObject({ userId: "u" });
  expect(await store.touch("b", { idleMs: hour })).toBe(true);
  expect(await store.update("b", { payload: "q" }, { expectedVersion: 1 })).toMatchObject({ status: "updated" });
  expect(await store.rename("b", "c", { userId: "v" }, limit)).toMatchObject({ status: "renamed" });
  expect(await store.listByUser("v")).toMatchObject([{ id: "c", payload: "q" }]);
  expect(await store.count()).toEqual({ sessions: 1, sessionsWithUser: 1, users: 1 });
  expect(await store.destroyByUser("v")).toEqual(["c"]);
  expect(await store.sweep({ limit: 10 })).toEqual([]);
  await store.clear();
}

test("without CREATE ROUTINE the store works by transactions", async () => {
  const before = await selectNumber(admin, countProcedures);
  const store = await openAs("SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX", "shared_host");
  await store.ensureSchema();
  expect(await selectNumber(admin, countProcedures)).toBe(before);
  await exercise(store);
  await store.close();
});

test("without EXECUTE the store works by transactions, with and without ensureSchema", async () => {
  for (const prepares of [true, false]) {
    const store = await openAs("SELECT, INSERT, UPDATE, DELETE", "there");
    if (prepares) await store.ensureSchema();
    await exercise(store);
    await store.close();
  }
});

test("procedures that were dropped while the store runs: it goes on by transactions", async () => {
  const store = await openStore({ pool: admin, table: "dropped" });
  await store.create({ id: "s", ...session });
  const [rows] = await admin.query("SELECT ROUTINE_NAME AS name FROM information_schema.ROUTINES");
  for (const { name } of rows as { name: string }[]) {
    if (name.startsWith("sojourn_")) await admin.query(`DROP PROCEDURE \`${name}\``);
  }
  expect(await store.touch("s", { idleMs: hour })).toBe(true);
  expect(await store.destroy("s")).toMatchObject({ id: "s" });
  await openStore({ pool: admin, table: "there" });
});

test("procedures: true refuses where they cannot be created, and names the privilege", async () => {
  const store = await openAs("SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX", "required", true);
  const refused = { code: "BACKEND", message: expect.stringContaining("the user lacks the privilege CREATE ROUTINE ") };
  await expect(store.ensureSchema()).rejects.toMatchObject(refused);
  await expect(store.touch("s", { idleMs: hour })).rejects.toMatchObject({
    code: "BACKEND",
    message: expect.stringContaining("the user lacks a privilege"),
  });
  await store.close();
});

test("procedures: true refuses where they cannot be called", async () => {
  const store = await openAs("SELECT, INSERT, UPDATE, DELETE", "there", true);
  const refused = {
    code: "BACKEND",
    message: expect.stringMatching(/the user lacks the privilege (EXECUTE|CREATE ROUTINE) /),
  };
  await expect(store.ensureSchema()).rejects.toMatchObject(refused);
  await store.close();
});

test.each(["SELECT", "INSERT", "UPDATE", "DELETE"])("ensureSchema names %s where it is missing", async (missing) => {
  const others = ["SELECT", "INSERT", "UPDATE", "DELETE", "EXECUTE"].filter((privilege) => privilege !== missing);
  const store = await openAs(others.join(", "), "there");
  await expect(store.ensureSchema()).rejects.toMatchObject({
    code: "BACKEND",
    retryable: false,
    message: expect.stringContaining(`the user lacks the privilege ${missing} `),
  });
  await store.close();
});

test("ensureSchema creates procedures of its version beside those of an older release", async () => {
  const names = async (): Promise<string[]> => {
    const [rows] = await admin.query(
      "SELECT ROUTINE_NAME AS name FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()",
    );
    return (rows as { name: string }[]).map(({ name }) => name).sort();
  };
  const before = await names();
  const older = before.map((name) => name.replace("_v2_", "_v1_")).find((name) => name.includes("_v1_")) ?? "";
  await admin.query(`CREATE PROCEDURE \`${older}\`() SELECT 1`);
  await openStore({ pool: admin, table: "there" });
  expect(await names()).toEqual([...before, older].sort());
});

test("a binary log by statements is refused by name", async () => {
  const logging = await startMySQL({ args: ["--log-bin", "--binlog-format=STATEMENT", "--server-id=7"] });
  const pool = openPool(logging.url);
  const store = new MySQLStore({ pool, procedures: true, timeoutMs: 10_000 });
  await expect(store.ensureSchema()).rejects.toMatchObject({
    code: "BACKEND",
    message: expect.stringContaining('binlog_format "ROW" or "MIXED"'),
  });
  await pool.end();
  await logging.stop();
});
