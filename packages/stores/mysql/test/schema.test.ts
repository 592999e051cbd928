import { MySQLStore, schemaSql } from "@sojourn/mysql";
import { startMySQL } from "@sojourn/test-fixtures";
import { createConnection } from "mysql2/promise";
import { afterAll, expect, test } from "vitest";
import { openPool, openStore, quote, selectNumber } from "./harness.js";

const server = await startMySQL();
const pool = openPool(server.url);
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const session = { payload: "p", idleMs: 60_000, absoluteMs: 60_000 };
const countProcedures = "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()";

test("ten at once, ten times: all succeed, and the store works", async () => {
  for (let round = 0; round < 10; round++) {
    const table = `ten_${round}`;
    const stores = Array.from({ length: 10 }, () => MySQLStore.fromUrl(server.url, { table, timeoutMs: 20_000 }));
    const outcomes = await Promise.allSettled(stores.map((store) => store.ensureSchema()));
    expect(outcomes.filter(({ status }) => status === "rejected")).toEqual([]);
    const created = await Promise.all(stores.map((store, n) => store.create({ id: `s${n}`, ...session })));
    expect(created.map(({ status }) => status)).toEqual(Array(10).fill("created"));
    await Promise.all(stores.map((store) => store.close()));
  }
});

test("completes a set-up that another process left unfinished", async () => {
  const table = "half";
  for (const sql of schemaSql({ table }).slice(0, 7)) await pool.query(sql);
  const before = await selectNumber(pool, countProcedures);
  const store = await openStore({ pool, table });
  expect(await selectNumber(pool, countProcedures)).toBe(before + 7);
  expect(await store.sweep({ limit: 1 })).toEqual([]);
});

test("creates the tables again when they have been dropped", async () => {
  const store = await openStore({ pool, table: "dropped" });
  await pool.query("DROP TABLE dropped, dropped_guards");
  await expect(store.get("s")).rejects.toMatchObject({
    code: "BACKEND",
    message: expect.stringContaining("ensureSchema()"),
  });
  await store.ensureSchema();
  expect(await store.create({ id: "s", ...session })).toMatchObject({ status: "created" });
});

test("without its schema every method names ensureSchema()", async () => {
  const store = new MySQLStore({ pool, table: "nowhere", timeoutMs: 10_000 });
  const says = { code: "BACKEND", message: expect.stringContaining("ensureSchema()") };
  await expect(store.create({ id: "s", ...session })).rejects.toMatchObject(says);
  await expect(store.get("s")).rejects.toMatchObject(says);
  await expect(store.update("s", { payload: "q" })).rejects.toMatchObject(says);
  await expect(store.sweep({ limit: 1 })).rejects.toMatchObject(says);
  await expect(store.count()).rejects.toMatchObject(says);
  // Nothing of the failure is kept.
  await store.ensureSchema();
  expect(await store.count()).toEqual({ sessions: 0, sessionsWithUser: 0, users: 0 });
});

test("a table of another application is named, and left alone", async () => {
  await pool.query("CREATE TABLE foreigner (id INT PRIMARY KEY, note TEXT)");
  const store = new MySQLStore({ pool, table: "foreigner", timeoutMs: 10_000 });
  const says = { code: "BACKEND", message: expect.stringContaining("not one of Sojourn's") };
  await expect(store.ensureSchema()).rejects.toMatchObject(says);
  await expect(store.ensureSchema()).rejects.toMatchObject(says);
  await expect(store.create({ id: "1", ...session })).rejects.toMatchObject(says);
  await expect(store.get("1")).rejects.toMatchObject(says);
  expect(await selectNumber(pool, "SELECT COUNT(*) FROM foreigner")).toBe(0);
});

test("a table of sessions where another store would have its guards is refused, and loses nothing", async () => {
  const victim = await openStore({ pool, table: "twice_guards" });
  await victim.create({ id: "s", userId: "u", ...session });
  const other = new MySQLStore({ pool, table: "twice", timeoutMs: 10_000 });
  const says = { code: "BACKEND", message: expect.stringContaining("not one of Sojourn's") };
  await expect(other.ensureSchema()).rejects.toMatchObject(says);
  await expect(other.clear()).rejects.toMatchObject(says);
  expect(await victim.get("s")).toMatchObject({ id: "s" });
});

test("stores whose tables differ by case or accent alone keep apart", async () => {
  const tables = ["Émile", "émile", "emile", "EMILE"];
  const stores = await Promise.all(tables.map((table) => openStore({ pool, table })));
  await Promise.all(stores.map((store, n) => store.create({ id: "s", ...session, userId: "u", payload: `of ${n}` })));
  for (const [n, store] of stores.entries()) expect(await store.get("s")).toMatchObject({ payload: `of ${n}` });
  await stores[0]?.destroyByUser("u");
  expect(await Promise.all(stores.map(async (store) => (await store.count()).sessions))).toEqual([0, 1, 1, 1]);
});

test("names that SQL could take for something else", async () => {
  for (const table of [
    "select",
    "a`; DROP TABLE emile; --",
    "a'b\"c",
    "a\\",
    "%s",
    "?",
    ":id",
    "会話",
    "a b",
    "x".repeat(57),
  ]) {
    const store = await openStore({ pool, table });
    await store.create({ id: "s", ...session, userId: "u" }, { limit: { max: 1, whenReached: "reject" } });
    expect(await store.listByUser("u")).toHaveLength(1);
    expect(await selectNumber(pool, `SELECT COUNT(*) FROM ${quote(`${table}_guards`)}`)).toBe(1);
  }
});

test("after schemaSql was run by a migration, ensureSchema changes nothing and needs no privilege to create", async () => {
  const table = "migrated";
  const migration = await createConnection(server.url);
  for (const sql of schemaSql({ table })) await migration.query(sql);
  await migration.end();
  await pool.query("CREATE USER app@'127.0.0.1' IDENTIFIED BY 'secret'");
  await pool.query("GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON sojourn.* TO app@'127.0.0.1'");

  const store = MySQLStore.fromUrl(`mysql://app:secret@127.0.0.1:${server.port}/sojourn`, { table, timeoutMs: 10_000 });
  await store.ensureSchema();
  await store.create({ id: "s", ...session, userId: "u" }, { limit: { max: 1, whenReached: "evictOldest" } });
  expect(await store.destroyByUser("u")).toEqual(["s"]);
  await store.close();

  const denied = MySQLStore.fromUrl(`mysql://app:secret@127.0.0.1:${server.port}/sojourn`, { table: "not_yet" });
  await expect(denied.ensureSchema()).rejects.toMatchObject({
    code: "BACKEND",
    message: expect.stringContaining("the user lacks the privilege CREATE "),
  });
  await denied.close();
});

test("leaves nothing behind on the caller's connections", async () => {
  const one = openPool(server.url, { connectionLimit: 1 });
  const settings = "SELECT COUNT(*) FROM DUAL WHERE @@sql_mode LIKE '%STRICT_ALL_TABLES%'";
  expect(await selectNumber(one, settings)).toBe(0);
  await openStore({ pool: one, table: "tidy" });
  expect(await selectNumber(one, settings)).toBe(0);
  await one.end();
});
