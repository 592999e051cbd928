import { setTimeout as sleep } from "node:timers/promises";
import { isSessionError } from "@sojourn/core";
import { type PostgresClient, PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import { afterAll, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

const server = await startPostgres();
const pool = openPool(server.url);
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const minute = 60_000;
const session = (id: string, payload = "p") => ({ id, userId: "u", payload, idleMs: minute, absoluteMs: minute });

test("a server that is killed under load: each call answers in time, and service resumes", async () => {
  const mortal = await startPostgres();
  const unhandled: unknown[] = [];
  const remember = (reason: unknown): unknown => unhandled.push(reason);
  process.on("unhandledRejection", remember);
  const store = PostgresStore.fromUrl(mortal.url);
  try {
    await store.ensureSchema();
    const codes = new Map<string, number>();
    let slowest = 0;
    let running = true;
    let down = false;
    let answeredAfterwards = 0;
    const call = async (n: number): Promise<void> => {
      const started = performance.now();
      const id = `a${n % 50}`;
      const operations = [
        () => store.get(id),
        () => store.create(session(id)),
        () => store.touch(id, { idleMs: minute }),
        () => store.update(id, { payload: `${n}` }),
        () => store.destroy(id),
      ];
      const outcome = await operations[n % operations.length]?.().then(
        () => "answered",
        (error: unknown) => (isSessionError(error) ? error.code : `not ours: ${error}`),
      );
      slowest = Math.max(slowest, performance.now() - started);
      codes.set(outcome ?? "", (codes.get(outcome ?? "") ?? 0) + 1);
      if (!down && outcome === "answered") answeredAfterwards += 1;
    };
    const load = Array.from({ length: 16 }, async (_, caller) => {
      for (let n = caller; running; n += 16) {
        await call(n);
        if (down) await sleep(5);
      }
    });
    const count = (code: string) => () => codes.get(code) ?? 0;
    await expect.poll(count("answered")).toBeGreaterThan(100);
    down = true;
    await mortal.kill();
    await expect.poll(count("UNAVAILABLE")).toBeGreaterThan(16);
    await mortal.restart();
    const restarted = performance.now();
    answeredAfterwards = 0;
    down = false;
    while (answeredAfterwards < 1_000) await sleep(5);
    const resumed = performance.now() - restarted;
    running = false;
    await Promise.all(load);
    console.log(
      `killed under load: ${JSON.stringify(Object.fromEntries(codes))}, slowest call ${Math.round(slowest)} ms,`,
    );
    console.log(
      `1,000 calls answered ${Math.round(resumed)} ms after the restart, ${unhandled.length} unhandled rejections`,
    );
    expect([...codes.keys()].filter((code) => !["answered", "UNAVAILABLE", "TIMEOUT"].includes(code))).toEqual([]);
    // The default timeout of 2,000 ms, with room for a busy machine.
    expect(slowest).toBeLessThan(10_000);
    expect(unhandled).toEqual([]);
  } finally {
    process.removeListener("unhandledRejection", remember);
    await store.close();
    await mortal.stop();
  }
});

test("a server that is down at start is UNAVAILABLE, and used once it is there", async () => {
  const late = await startPostgres();
  await late.kill();
  const store = PostgresStore.fromUrl(late.url, { timeoutMs: 10_000 });
  try {
    await expect(store.ensureSchema()).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    await expect(store.get("a")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await late.restart();
    await store.ensureSchema();
    expect(await store.create(session("a"))).toMatchObject({ status: "created" });
  } finally {
    await store.close();
    await late.stop();
  }
});

test("a wrong password is BACKEND, and not shown", async () => {
  const guarded = await startPostgres({ password: "the right one" });
  const wrong = new URL(guarded.url);
  wrong.password = "hunter2";
  const theirs = PostgresStore.fromUrl(wrong.href, { timeoutMs: 10_000 });
  const ours = PostgresStore.fromUrl(guarded.url, { timeoutMs: 10_000 });
  try {
    const error = await theirs.get("a").catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "BACKEND", message: expect.stringContaining("password") });
    expect(String(error)).not.toContain("hunter2");
    await ours.ensureSchema();
  } finally {
    await Promise.all([theirs.close(), ours.close()]);
    await guarded.stop();
  }
});

test("a read-only server serves reads, and refuses writes as UNAVAILABLE", async () => {
  const writable = await openStore({ pool, table: "read_only" });
  await writable.create(session("a"));
  const replica = openPool(server.url, { options: "-c default_transaction_read_only=on" });
  try {
    const store = await openStore({ pool: replica, table: "read_only" });
    expect(await store.get("a")).toMatchObject({ id: "a" });
    const readOnly = {
      code: "UNAVAILABLE",
      retryable: true,
      outcomeUnknown: false,
      message: expect.stringContaining("read-only"),
    };
    await expect(store.touch("a", { idleMs: minute })).rejects.toMatchObject(readOnly);
    await expect(store.update("a", { payload: "q" })).rejects.toMatchObject(readOnly);
    await expect(store.destroyByUser("u")).rejects.toMatchObject(readOnly);
    expect(await writable.listByUser("u")).toMatchObject([{ payload: "p" }]);
  } finally {
    await replica.end();
  }
});

test("a call that gets no connection is UNAVAILABLE, and is never sent", async () => {
  const narrow = openPool(server.url, { max: 1 });
  const patient = await openStore({ pool: narrow, table: "narrow" });
  const store = new PostgresStore({ pool: narrow, table: "narrow", timeoutMs: 300 });
  const held = await narrow.connect();
  await expect(store.create(session("a"))).rejects.toMatchObject({
    code: "UNAVAILABLE",
    outcomeUnknown: false,
    message: expect.stringContaining("nothing was sent"),
  });
  held.release();
  expect(await patient.get("a")).toBeUndefined();
  expect(await patient.create(session("a"))).toMatchObject({ status: "created" });
  await narrow.end();
});

test("a pool and clients that answer only by promise work, and connections go back to their pool", async () => {
  const narrow = openPool(server.url, { max: 1 });
  // Its declared type fits: only a call shows that it answers by promise.
  const connect = async (): Promise<PostgresClient> => {
    const client = await narrow.connect();
    return {
      query: (query) => client.query({ ...query, values: [...(query.values ?? [])] }),
      on: (event, listener) => client.on(event, listener),
      removeListener: (event, listener) => client.removeListener(event, listener),
      release: (destroy) => client.release(destroy),
    };
  };
  const store = await openStore({ pool: { connect }, table: "promised" });
  expect(await store.create(session("a"))).toMatchObject({ status: "created" });
  expect(await store.get("a")).toMatchObject({ payload: "p" });
  await pool.query("ALTER TABLE promised RENAME TO gone");
  await expect(store.get("a")).rejects.toMatchObject({ code: "BACKEND" });
  expect(narrow.idleCount).toBe(1);
  const held = await narrow.connect();
  const hasty = new PostgresStore({ pool: { connect }, table: "gone", timeoutMs: 300 });
  await expect(hasty.touch("a", { idleMs: minute })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  held.release();
  await expect.poll(() => narrow.idleCount).toBe(1);
  // The promise of such a wrapper resolves with nothing, before the callback is called.
  const both = await openStore({ pool: { connect: async (callback) => narrow.connect(callback) }, table: "gone" });
  expect(await both.get("a")).toMatchObject({ payload: "p" });
  await narrow.end();
});

test("a call that is not answered is TIMEOUT, gives its connection up, and the next one is served", async () => {
  const narrow = openPool(server.url, { max: 1 });
  const patient = await openStore({ pool: narrow, table: "slow" });
  await patient.create(session("a"));
  // Long enough for the new connection of the second call.
  const store = new PostgresStore({ pool: narrow, table: "slow", timeoutMs: 2_000 });
  const holder = await pool.connect();
  await holder.query("BEGIN; LOCK TABLE slow");
  const late = { code: "TIMEOUT", outcomeUnknown: true, retryable: true };
  await expect(store.touch("a", { idleMs: minute })).rejects.toMatchObject(late);
  await expect(store.get("a")).rejects.toMatchObject({ code: "TIMEOUT" });
  await holder.query("ROLLBACK");
  holder.release();
  expect(await patient.get("a")).toMatchObject({ id: "a" });
  await narrow.end();
});

test("a statement that statement_timeout ends is TIMEOUT with a known outcome", async () => {
  await openStore({ pool, table: "hasty" });
  const hasty = openPool(server.url, { options: "-c statement_timeout=100" });
  const store = new PostgresStore({ pool: hasty, table: "hasty", timeoutMs: 10_000 });
  const holder = await pool.connect();
  await holder.query("BEGIN; LOCK TABLE hasty");
  await expect(store.create(session("a"))).rejects.toMatchObject({ code: "TIMEOUT", outcomeUnknown: false });
  await holder.query("ROLLBACK");
  holder.release();
  await hasty.end();
});

test("connections that an administrator ends are replaced", async () => {
  const theirs = openPool(server.url, { application_name: "ended" });
  const store = await openStore({ pool: theirs, table: "ended" });
  await Promise.all(Array.from({ length: 5 }, (_, n) => store.create(session(`a${n}`))));
  const { rowCount } = await pool.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ended'",
  );
  expect(rowCount).toBeGreaterThan(0);
  await expect.poll(() => store.get("a0").catch(() => undefined)).toMatchObject({ id: "a0" });
  await theirs.end();
});

test("a connection that the application left in a broken state fails at most one call", async () => {
  const narrow = openPool(server.url, { max: 1 });
  const store = await openStore({ pool: narrow, table: "useless" });
  await store.create(session("a"));
  const spoil = ["DISCARD ALL", "BEGIN; SELECT 1 / 0"];
  for (const sql of spoil) {
    await store.get("a");
    const theirs = await narrow.connect();
    await theirs.query(sql).catch(() => {});
    theirs.release();
    await store.get("a").catch((error: unknown) => expect(error).toMatchObject({ code: "BACKEND" }));
    expect(await store.get("a"), sql).toMatchObject({ id: "a" });
  }
  await narrow.end();
});

test("close ends the store's own pool and no other, twice as well as once", async () => {
  const url = new URL(server.url);
  url.searchParams.set("application_name", "own");
  const connections = async (): Promise<number | null> =>
    (await pool.query("SELECT FROM pg_stat_activity WHERE application_name = 'own'")).rowCount;
  const own = PostgresStore.fromUrl(url.href, { table: "closed", timeoutMs: 10_000 });
  await own.ensureSchema();
  expect(await connections()).toBe(1);
  await Promise.all([own.close(), own.close()]);
  await expect.poll(connections).toBe(0);
  await expect(own.get("a")).rejects.toMatchObject({ code: "CLOSED" });

  const borrowing = await openStore({ pool, table: "closed" });
  await borrowing.close();
  await expect(borrowing.ensureSchema()).rejects.toMatchObject({ code: "CLOSED" });
  expect((await pool.query("SELECT 1")).rowCount).toBe(1);
});

test("the largest payload comes back byte for byte", async () => {
  const store = await openStore({ pool, table: "large", timeoutMs: 60_000 });
  const payload = "é".repeat(store.capabilities.maxPayloadBytes / 2);
  await store.create(session("a", payload));
  expect((await store.get("a"))?.payload === payload).toBe(true);
});
