import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { PostgresStore, schemaSql } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

const server = await startPostgres();
const pool = openPool(server.url);
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 60_000, absoluteMs: 60_000 });

test("before ensureSchema, the error of every method names it", async () => {
  const store = new PostgresStore({ pool, table: "never_made", timeoutMs: 10_000 });
  const elsewhere = new PostgresStore({ pool, schema: "never_made", timeoutMs: 10_000 });
  const hint = { code: "BACKEND", message: expect.stringContaining("ensureSchema()") };
  for (const call of [
    () => store.get("a"),
    () => store.create(session("a")),
    () => store.create(session("a", "u"), { limit: { max: 1, whenReached: "reject" } }),
    () => store.update("a", { payload: "q" }),
    () => store.touch("a", { idleMs: 1 }),
    () => store.destroyByUser("u"),
    () => store.sweep({ limit: 1 }),
    () => elsewhere.get("a"),
    () => elsewhere.destroyByUser("u"),
  ]) {
    await expect(call()).rejects.toMatchObject(hint);
  }
  await store.ensureSchema();
  expect(await store.get("a")).toBeUndefined();
});

test("ten connections run ensureSchema at once, and all succeed", async () => {
  for (let round = 0; round < 10; round++) {
    const stores = Array.from(
      { length: 10 },
      () => new PostgresStore({ pool, schema: `round ${round}`, timeoutMs: 20_000 }),
    );
    await Promise.all(stores.map((store) => store.ensureSchema()));
    expect(await stores[0]?.create(session("a"))).toMatchObject({ status: "created" });
  }
});

test("ten processes run the schema's SQL at once, and all succeed", async () => {
  const program = `
    const pg = require(${JSON.stringify(createRequire(import.meta.url).resolve("pg"))});
    const client = new pg.Client(process.env.URL);
    client.connect().then(() => client.query(process.env.SQL)).then(() => client.end());`;
  const env = { ...process.env, URL: server.url, SQL: schemaSql({ schema: "processes", table: "sessions" }) };
  const exits = Array.from({ length: 10 }, async () => {
    const child = spawn(process.execPath, ["-e", program], { env, stdio: ["ignore", "ignore", "inherit"] });
    const [code] = await once(child, "exit");
    return code;
  });
  expect(await Promise.all(exits)).toEqual(Array(10).fill(0));
  const store = await openStore({ pool, schema: "processes", table: "sessions" });
  expect(await store.create(session("a"))).toMatchObject({ status: "created" });
});

test("schemaSql runs by hand, also twice, and keeps what is stored", async () => {
  const sql = schemaSql({ table: "by_hand" });
  await pool.query(sql);
  const store = new PostgresStore({ pool, table: "by_hand", timeoutMs: 10_000 });
  await store.create(session("a"));
  await pool.query(sql);
  await store.ensureSchema();
  expect(await store.get("a")).toMatchObject({ id: "a" });
});

test("a user without the right to create anything can use a complete schema, and is refused without one", async () => {
  await openStore({ pool, schema: "given", table: "sessions" });
  await pool.query(`CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA given TO reader;
    GRANT SELECT, INSERT, UPDATE, DELETE ON given.sessions TO reader`);
  const url = new URL(server.url);
  url.username = "reader";
  const theirs = openPool(url.href);
  try {
    const store = await openStore({ pool: theirs, schema: "given", table: "sessions" });
    const limit = { max: 1, whenReached: "evictOldest" } as const;
    expect(await store.create(session("a", "u"), { limit })).toMatchObject({ status: "created" });
    expect(await store.destroyByUser("u")).toEqual(["a"]);

    const missing = new PostgresStore({ pool: theirs, schema: "given", table: "missing", timeoutMs: 10_000 });
    await expect(missing.ensureSchema()).rejects.toMatchObject({ code: "BACKEND", message: /permission/ });
    await pool.query("GRANT CREATE ON SCHEMA given TO reader");
    // The failure left nothing behind.
    await missing.ensureSchema();
    expect(await missing.create(session("a"))).toMatchObject({ status: "created" });
  } finally {
    await theirs.end();
  }
});

const evicting = { limit: { max: 1, whenReached: "evictOldest" } } as const;

describe("ensureSchema names the right that later calls would lack", () => {
  let roles = 0;
  /** Opens a store as a user with all rights on a schema, except those that `revoke` takes away. */
  async function openAs(place: string, revoke: string) {
    roles += 1;
    const role = `role_${roles}`;
    await openStore({ pool, schema: place, table: "sessions" });
    await pool.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA ${place} TO ${role};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ${place}.sessions TO ${role}; ${revoke.replaceAll("$role", role)}`);
    const url = new URL(server.url);
    url.username = role;
    const theirs = openPool(url.href);
    return { theirs, store: new PostgresStore({ pool: theirs, schema: place, table: "sessions", timeoutMs: 10_000 }) };
  }

  test.each([
    ["usage", "REVOKE USAGE ON SCHEMA usage FROM $role", "USAGE on the schema usage"],
    ["deleting", "REVOKE DELETE ON deleting.sessions FROM $role", "DELETE on the table sessions"],
    ["updating", "REVOKE UPDATE ON updating.sessions FROM $role", "UPDATE on the table sessions"],
    [
      "running",
      "REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA running FROM PUBLIC",
      "EXECUTE on the function sessions_change_v2, EXECUTE on the function sessions_create_v2, " +
        "EXECUTE on the function sessions_destroy_by_user_v2, EXECUTE on the function sessions_make_room_v2",
    ],
    [
      "secured",
      "ALTER TABLE secured.sessions ENABLE ROW LEVEL SECURITY; " +
        "CREATE POLICY readable ON secured.sessions FOR SELECT TO $role USING (true)",
      "a policy of row-level security for DELETE on the table sessions, " +
        "a policy of row-level security for INSERT on the table sessions, " +
        "a policy of row-level security for UPDATE on the table sessions",
    ],
  ])("%s", async (place, revoke, missing) => {
    const { theirs, store } = await openAs(place, revoke);
    const message = `@sojourn/postgres: ensureSchema: the user lacks ${missing}`;
    await expect(store.ensureSchema()).rejects.toMatchObject({ code: "BACKEND", retryable: false, message });
    await theirs.end();
  });

  test("a function of the server that is revoked from the public", async () => {
    const { theirs, store } = await openAs(
      "locking",
      "REVOKE EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) FROM PUBLIC",
    );
    const message = expect.stringContaining("lacks EXECUTE on the function pg_advisory_xact_lock(bigint)");
    await expect(store.ensureSchema()).rejects.toMatchObject({ code: "BACKEND", message });
    await pool.query("GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO PUBLIC");
    await store.ensureSchema();
    await theirs.end();
  });

  test("a policy of row-level security that admits every row is enough", async () => {
    const { theirs, store } = await openAs(
      "passing",
      "ALTER TABLE passing.sessions ENABLE ROW LEVEL SECURITY; CREATE POLICY all_rows ON passing.sessions USING (true)",
    );
    await store.ensureSchema();
    expect(await store.create(session("a", "u"), evicting)).toMatchObject({ status: "created" });
    expect(await store.get("a")).toMatchObject({ id: "a" });
    await theirs.end();
  });

  test("where functions are revoked from the public by default, their owner needs no grant", async () => {
    await pool.query(`CREATE ROLE owner LOGIN; CREATE SCHEMA owned AUTHORIZATION owner;
      ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`);
    const url = new URL(server.url);
    url.username = "owner";
    const theirs = openPool(url.href);
    const store = await openStore({ pool: theirs, schema: "owned", table: "sessions" });
    expect(await store.create(session("a", "u"), evicting)).toMatchObject({ status: "created" });
    await theirs.end();
  });
});

test("a database with an encoding other than UTF8 is refused", async () => {
  await pool.query("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
  const url = new URL(server.url);
  url.pathname = "/latin";
  const latin = openPool(url.href);
  try {
    const message = "@sojourn/postgres: ensureSchema: the database has the encoding LATIN1; session ids need UTF8";
    await expect(openStore({ pool: latin })).rejects.toMatchObject({ code: "BACKEND", message });
    await expect(latin.query(schemaSql())).rejects.toThrow("LATIN1");
  } finally {
    await latin.end();
  }
});

test("another application's table of this name is refused and left alone", async () => {
  await pool.query("CREATE TABLE taken (id int); INSERT INTO taken VALUES (7)");
  const store = new PostgresStore({ pool, table: "taken", timeoutMs: 10_000 });
  await expect(store.ensureSchema()).rejects.toMatchObject({ code: "BACKEND", message: /not made by Sojourn/ });
  expect((await pool.query("SELECT * FROM taken")).rows).toEqual([{ id: 7 }]);
});

test("stores that differ in the last byte of a long name, or in the schema alone, share nothing", async () => {
  const long = "t".repeat(62);
  const places = [{ table: `${long}a` }, { table: `${long}b` }, { schema: long }, { schema: `${long}a` }];
  const stores = await Promise.all(places.map((place) => openStore({ pool, ...place })));
  const limit = { max: 1, whenReached: "evictOldest" } as const;
  for (const store of stores) expect(await store.create(session("a", "u"), { limit })).toMatchObject({ evicted: [] });
  await stores[0]?.clear();
  for (const [n, store] of stores.entries()) expect((await store.count()).sessions).toBe(n === 0 ? 0 : 1);
});

test("the table refuses a row that cannot be a session", async () => {
  const store = await openStore({ pool, table: "checked" });
  await store.create(session("a"));
  for (const change of [
    "version = 0",
    "expires_at = ends_at + interval '1 ms'",
    "ends_at = 'infinity'",
    "payload = NULL",
  ]) {
    await expect(pool.query(`UPDATE checked SET ${change}`), change).rejects.toMatchObject({ code: /^23/ });
  }
});
