import { MySQLStore, type MySQLStoreOptions } from "@sojourn/mysql";
import { startMySQL } from "@sojourn/test-fixtures";
import { clearParserCache, createPool as createCallbackPool } from "mysql2";
import type { PoolOptions } from "mysql2/promise";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { openPool, openStore, selectNumber } from "./harness.js";

// The clock of this server's system is set back every autumn.
const server = await startMySQL({ timeZone: "America/New_York", args: ["--max-allowed-packet=64M"] });
const pool = openPool(server.url);
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const hour = 3_600_000;
// Its last signs hold bytes that, beside a backslash or alone, are other ones in GBK or Shift JIS.
const awkward = "\ufeff'\\ \" ` % _ \r\n\t\x1a 😀 é ¿' ¿\\' 縗' 表\\";

/** A round through all methods, with text that goes wrong wherever anything touches it. */
async function exercise(store: MySQLStore): Promise<void> {
  const session = {
    userId: `user ${awkward}`,
    payload: `payload ${awkward}`,
    idleMs: hour,
    absoluteMs: 400 * 24 * hour,
  };
  const [id, newId] = [`id ${awkward}`, `new id ${awkward}`];
  await store.clear();
  const created = await store.create({ id, ...session }, { limit: { max: 1, whenReached: "evictOldest" } });
  expect(created).toMatchObject({ status: "created", evicted: [] });
  expect(await store.get(id)).toMatchObject({
    ...(created.status === "created" && created.record),
    now: expect.any(Number),
  });
  expect(await store.touch(id, { idleMs: hour })).toBe(true);
  expect(await store.touch(id, { idleMs: 1, shorten: false })).toBe(true);
  const written = { status: "updated", record: { payload: "", version: 2 } };
  expect(await store.update(id, { payload: "" }, { expectedVersion: 1 })).toMatchObject(written);
  const winner = { id, userId: session.userId, payload: "", version: 2 };
  expect(await store.update(id, { payload: "x" }, { expectedVersion: 1 })).toMatchObject({
    status: "conflict",
    current: winner,
  });
  expect(await store.rename(id, newId)).toMatchObject({ status: "renamed", record: { id: newId, payload: "" } });
  expect(await store.listByUser(session.userId)).toMatchObject([{ ...winner, id: newId }]);
  const evicting = await store.create({ id, ...session }, { limit: { max: 1, whenReached: "evictOldest" } });
  expect(evicting).toMatchObject({ status: "created", evicted: [newId] });
  const seen: string[] = [];
  for await (const record of store.scan({ batchSize: 1 })) seen.push(record.id);
  expect(seen).toEqual([id]);
  expect(await store.count()).toEqual({ sessions: 1, sessionsWithUser: 1, users: 1 });
  await store.create({ id: newId, ...session });
  const together = await Promise.all([id, newId, "nothing"].map((each) => store.get(each)));
  expect(together.map((record) => record?.id)).toEqual([id, newId, undefined]);
  expect(await store.listByUser(session.userId)).toHaveLength(2);
  expect(await store.destroyByUser(session.userId)).toEqual([id, newId]);
  expect(await store.get(id)).toBeUndefined();
  expect(await store.destroy(id)).toBeUndefined();
}

describe("whatever the pool is set to", () => {
  const sets: readonly (readonly [string, PoolOptions])[] = [
    ["affected rows instead of found rows", { flags: ["-FOUND_ROWS"] }],
    ["a character set that holds little", { charset: "latin1_swedish_ci" }],
    ["rows as arrays", { rowsAsArray: true }],
    ["nested tables", { nestTables: true }],
    ["big numbers as text", { supportBigNumbers: true, bigNumberStrings: true }],
    ["dates as text, elsewhere", { dateStrings: true, timezone: "+09:00" }],
    ["casts of its own", { typeCast: () => "cast" }],
    ["named placeholders", { namedPlaceholders: true }],
    ["several statements", { multipleStatements: true }],
    ["no code generation", { disableEval: true }],
    ["a reset at each release", { resetOnRelease: true }],
    ["one connection", { connectionLimit: 1 }],
  ];
  // mysql2 shares its compiled parsers between pools. Each test must be the first to compile them.
  beforeEach(clearParserCache);

  test.each(sets)("%s", async (_, options) => {
    const set = openPool(server.url, options);
    for (const procedures of [true, false]) await exercise(await openStore({ pool: set, table: "pools", procedures }));
    await set.end();
  });

  test("callbacks", async () => {
    const callbacks = createCallbackPool(server.url);
    await exercise(await openStore({ pool: callbacks, table: "pools" }));
    await new Promise((resolve) => callbacks.end(resolve));
  });
});

describe("whatever the connection is set to", () => {
  test.each([
    "SET sql_mode = ''",
    "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
    "SET sql_mode = 'ORACLE'",
    "SET sql_mode = 'MSSQL'",
    "SET sql_mode = 'TRADITIONAL,NO_AUTO_VALUE_ON_ZERO,PAD_CHAR_TO_FULL_LENGTH,EMPTY_STRING_IS_NULL'",
    "SET autocommit = 0",
    "SET completion_type = 'CHAIN'",
    "SET completion_type = 'CHAIN', autocommit = 0",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "SET SESSION TRANSACTION READ ONLY",
    "SET time_zone = '-12:00'",
    "SET collation_connection = 'utf8mb4_general_ci'",
    "SET NAMES gbk",
    "SET NAMES sjis, sql_mode = 'NO_BACKSLASH_ESCAPES'",
    "SET NAMES latin1",
    "SET character_set_client = gbk, character_set_results = big5",
    "SET character_set_connection = ucs2",
    "SET group_concat_max_len = 4, sql_select_limit = 1",
    "SET sql_safe_updates = 1",
    "SET sql_big_selects = 0, max_join_size = 10",
  ])("%s", async (statement) => {
    const set = openPool(server.url);
    set.on("connection", (connection) => connection.query(statement));
    for (const procedures of [true, false]) {
      await exercise(await openStore({ pool: set, table: "connections", procedures }));
    }
    await set.end();
  });
});

test.each([true, false])(
  "without autocommit no stale answer and no lock is left, procedures: %s",
  async (procedures) => {
    const manual = openPool(server.url, { connectionLimit: 1 });
    manual.on("connection", (connection) => connection.query("SET autocommit = 0"));
    const reading = await openStore({ pool: manual, table: "manual", procedures });
    const writing = await openStore({ pool, table: "manual" });
    await writing.create({ id: "s", userId: "u", payload: "first", idleMs: hour, absoluteMs: hour });
    expect(await reading.get("s")).toMatchObject({ payload: "first" });
    await writing.update("s", { payload: "second" });
    expect(await reading.get("s")).toMatchObject({ payload: "second" });
    expect(await reading.touch("s", { idleMs: hour })).toBe(true);
    await writing.destroy("s");
    expect(await reading.get("s")).toBeUndefined();
    expect(await reading.listByUser("u")).toEqual([]);
    expect(await reading.count()).toMatchObject({ sessions: 0 });
    expect(await reading.sweep({ limit: 10 })).toEqual([]);
    await reading.clear();
    // InnoDB has transactions of its own now and then. It refreshes this table only after 100 ms without a read.
    const transactions = () => selectNumber(pool, "SELECT COUNT(*) FROM information_schema.INNODB_TRX");
    await expect.poll(transactions, { interval: 150 }).toBe(0);
    await manual.end();
  },
);

test("a connection that loses autocommit while it is in use does not hide what is created afterwards", async () => {
  const careless = openPool(server.url, { connectionLimit: 1 });
  const reading = await openStore({ pool: careless, table: "careless" });
  const writing = await openStore({ pool, table: "careless" });
  expect(await reading.get("new")).toBeUndefined();
  await careless.query("SET autocommit = 0");
  // It begins a transaction, which sees for good what there is at this moment.
  expect(await reading.get("new")).toBeUndefined();
  await writing.create({ id: "new", payload: "p", idleMs: hour, absoluteMs: hour });
  expect(await reading.get("new")).toMatchObject({ payload: "p" });
  await careless.end();
});

test("a connection that came with a transaction open is used all the same", async () => {
  const careless = openPool(server.url, { connectionLimit: 1 });
  const store = await openStore({ pool: careless, table: "careless" });
  await careless.query("START TRANSACTION");
  expect(await store.create({ id: "s", payload: "p", idleMs: hour, absoluteMs: hour })).toMatchObject({
    status: "created",
  });
  await careless.query("ROLLBACK");
  expect(await store.get("s")).toMatchObject({ payload: "p" });
  await careless.end();
});

describe("time", () => {
  // 2026-11-01 01:30 happens twice in New York: at 05:30 and at 06:30 UTC. So do all the hours of the switch in spring.
  const instants = [
    "2026-11-01T05:30:00.123Z",
    "2026-11-01T06:30:00.123Z",
    "2026-03-08T06:59:59.999Z",
    "2026-03-08T07:00:00.000Z",
  ];

  test.each(["SYSTEM", "+00:00", "-12:00", "+13:00"])("the hour that happens twice, in time zone %s", async (zone) => {
    const zoned = openPool(server.url, { connectionLimit: 1 });
    const store = await openStore({ pool: zoned, table: "zones" });
    for (const instant of instants) {
      const ms = Date.parse(instant);
      await zoned.query(`SET time_zone = '${zone}', timestamp = ${ms / 1_000}`);
      await store.clear();
      const created = await store.create({ id: "s", payload: "p", idleMs: hour, absoluteMs: 400 * 24 * hour });
      expect(created).toMatchObject({
        record: { createdAt: ms, expiresAt: ms + hour, endsAt: ms + 400 * 24 * hour, now: ms },
      });
      expect(await store.get("s")).toMatchObject({ now: ms, expiresAt: ms + hour });
    }
    await zoned.end();
  });

  test("connections in different zones agree", async () => {
    const zones = ["-12:00", "+05:45", "SYSTEM", "+13:00"];
    const stores = await Promise.all(
      zones.map(async (zone) => {
        const zoned = openPool(server.url);
        zoned.on("connection", (connection) => connection.query(`SET time_zone = '${zone}'`));
        return { zoned, store: await openStore({ pool: zoned, table: "agreed" }) };
      }),
    );
    await Promise.all(
      stores.map(({ store }, n) => store.create({ id: `s${n}`, payload: "p", idleMs: hour, absoluteMs: hour })),
    );
    for (const { store } of stores) {
      expect(await store.sweep({ limit: 10 })).toEqual([]);
      for (const n of zones.keys()) {
        const record = await store.get(`s${n}`);
        expect(Math.abs((record?.expiresAt ?? 0) - Date.now() - hour)).toBeLessThan(60_000);
      }
    }
    await Promise.all(stores.map(({ zoned }) => zoned.end()));
  });
});

describe("max_allowed_packet", () => {
  const kept = (payload: string) => ({ id: "s", payload, idleMs: hour, absoluteMs: hour });

  test("a payload as large as a MEDIUMBLOB survives, one byte more is refused unsent", async () => {
    const store = await openStore({ pool, table: "large", timeoutMs: 30_000 });
    const largest = "x".repeat(store.capabilities.maxPayloadBytes);
    expect(await store.create(kept(largest))).toMatchObject({ status: "created" });
    expect((await store.get("s"))?.payload === largest).toBe(true);
    await expect(store.update("s", { payload: `${largest}x` })).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  });

  test("a payload that the server would not take is refused unsent, and the pool stays well", async () => {
    await pool.query("SET GLOBAL max_allowed_packet = 1048576");
    const small = openPool(server.url, { connectionLimit: 1 });
    const store = await openStore({ pool: small, table: "small" });
    const connection = await selectNumber(small, "SELECT CONNECTION_ID()");
    expect(await store.create(kept("x".repeat(1_000_000)))).toMatchObject({ status: "created" });
    await expect(store.create(kept("x".repeat(1_048_576)))).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    await expect(store.update("s", { payload: "é".repeat(524_288) })).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
    });
    expect((await store.get("s"))?.payload).toHaveLength(1_000_000);
    expect(await selectNumber(small, "SELECT CONNECTION_ID()")).toBe(connection);
    await small.end();
    await pool.query("SET GLOBAL max_allowed_packet = 67108864");
  });
});

test("each operation is one statement for the server", async () => {
  const single = openPool(server.url, { connectionLimit: 1 });
  const store = await openStore({ pool: single, table: "counted" });
  const limited = { limit: { max: 2, whenReached: "evictOldest" } } as const;
  const make = (id: string) => ({ id, userId: "u", payload: "p", idleMs: hour, absoluteMs: hour });
  const operations: readonly (readonly [string, () => Promise<unknown>, number?])[] = [
    ["create", () => store.create(make("a"))],
    ["create with a limit", () => store.create(make("b"), limited)],
    ["create evicting", () => store.create(make("c"), limited)],
    ["create duplicate", () => store.create(make("c"), limited)],
    ["get", () => store.get("b")],
    // Whether nothing is what there is, the connection is asked.
    ["get missing", () => store.get("a"), 2],
    ["get 60 at a time", () => Promise.all(["b", ...Array(59).keys()].map((n) => store.get(`${n}`)))],
    ["update", () => store.update("b", { payload: "q" }, { expectedVersion: 1 })],
    ["update conflict", () => store.update("b", { payload: "q" }, { expectedVersion: 1 })],
    ["update user with a limit", () => store.update("b", { userId: "v" }, limited)],
    ["touch", () => store.touch("b", { idleMs: hour })],
    ["rename", () => store.rename("b", "d")],
    ["rename with a change and a limit", () => store.rename("d", "e", { userId: "u", payload: "r" }, limited)],
    ["destroy", () => store.destroy("e")],
    ["listByUser", () => store.listByUser("u")],
    ["destroyByUser", () => store.destroyByUser("u")],
    ["count", () => store.count()],
    ["sweep", () => store.sweep({ limit: 100 })],
  ];
  // Questions are statements of clients, without those inside procedures; to ask is one of them.
  const questions = () =>
    selectNumber(
      single,
      "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Questions'",
    );
  for (const prepares of [true, false]) {
    await store.clear();
    for (const [name, operation, statements = 1] of operations) {
      const before = await questions();
      await operation();
      const sent = (await questions()) - before - 1;
      if (!prepares) expect(`${name}: ${sent}`).toBe(`${name}: ${statements}`);
    }
  }
  await single.end();
});

test("close ends the pool that fromUrl opened, and leaves one that was handed in", async () => {
  const options: Omit<MySQLStoreOptions, "pool"> = { table: "closed", timeoutMs: 10_000 };
  await pool.query("CREATE USER owner@'127.0.0.1'");
  await pool.query("GRANT ALL ON sojourn.* TO owner@'127.0.0.1'");
  const connections = () =>
    selectNumber(pool, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'owner'");
  const owning = MySQLStore.fromUrl(`mariadb://owner@127.0.0.1:${server.port}/sojourn`, options);
  await owning.ensureSchema();
  await owning.get("s");
  expect(await connections()).toBe(1);
  await Promise.all([owning.close(), owning.close()]);
  await expect.poll(connections).toBe(0);
  await expect(owning.get("s")).rejects.toMatchObject({ code: "CLOSED" });
  await expect(owning.ensureSchema()).rejects.toMatchObject({ code: "CLOSED" });

  const borrowing = new MySQLStore({ pool, ...options });
  await borrowing.close();
  await expect(borrowing.touch("s", { idleMs: 1 })).rejects.toMatchObject({ code: "CLOSED" });
  expect(await selectNumber(pool, "SELECT 1")).toBe(1);
});
