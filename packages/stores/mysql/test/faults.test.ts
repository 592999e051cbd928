import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isSessionError, type SessionErrorCode } from "@sojourn/core";
import { MySQLStore } from "@sojourn/mysql";
import { startMySQL, startTcpProxy } from "@sojourn/test-fixtures";
import { afterAll, expect, test } from "vitest";
import { openPool, openStore, selectNumber } from "./harness.js";

const server = await startMySQL();
const unhandled: unknown[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));
afterAll(async () => {
  await server.stop();
  expect(unhandled).toEqual([]);
});

const hour = 3_600_000;
const session = { payload: "p", idleMs: hour, absoluteMs: hour };

test("killed under load and started again: every call is answered in time, and what was acknowledged is there", async () => {
  const timeoutMs = 2_000;
  const pool = openPool(server.url);
  const store = await openStore({ pool, table: "load", timeoutMs });
  const counts: Partial<Record<SessionErrorCode | "answered" | "foreign", number>> = {};
  const acknowledged: string[] = [];
  let slowestMs = 0;
  let running = true;
  const count = (outcome: keyof typeof counts) => {
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  };
  const worker = async (name: number): Promise<void> => {
    for (let n = 0; running; n++) {
      const id = `s${name}.${n}`;
      const startedAt = performance.now();
      try {
        await store.create(
          { id, userId: `u${name}`, ...session },
          { limit: { max: 1_000_000, whenReached: "reject" } },
        );
        acknowledged.push(id);
        await store.touch(id, { idleMs: hour });
        count("answered");
      } catch (error) {
        count(isSessionError(error) ? error.code : "foreign");
      }
      slowestMs = Math.max(slowestMs, performance.now() - startedAt);
      await sleep(2);
    }
  };
  const workers = Array.from({ length: 16 }, (_, n) => worker(n));
  await expect.poll(() => counts.answered).toBeGreaterThan(100);
  await server.kill();
  const before = { ...counts };
  await expect.poll(() => counts.UNAVAILABLE).toBeGreaterThan(16);
  await server.restart();
  await expect.poll(() => store.touch("nothing", { idleMs: 1 }).catch(() => "down"), { timeout: 60_000 }).toBe(false);
  const restarted = counts.answered ?? 0;
  await expect.poll(() => counts.answered).toBeGreaterThan(restarted + 100);
  running = false;
  await Promise.all(workers);
  console.log(
    `kill -9 under load: ${before.answered} answered before, in all ${JSON.stringify(counts)}, slowest pair of calls ${Math.round(slowestMs)} ms`,
  );

  expect(Object.keys(counts).filter((code) => !["answered", "UNAVAILABLE", "TIMEOUT"].includes(code))).toEqual([]);
  const kept = new Set<string>();
  const patient = await openStore({ pool, table: "load" });
  for await (const { id } of patient.scan()) kept.add(id);
  expect(acknowledged.filter((id) => !kept.has(id))).toEqual([]);
  await pool.end();
});

test("down at start: every call says so, and the store recovers by itself", async () => {
  await server.kill();
  const store = MySQLStore.fromUrl(server.url, { table: "start", timeoutMs: 10_000 });
  const down = { code: "UNAVAILABLE", retryable: true, outcomeUnknown: false };
  await expect(store.ensureSchema()).rejects.toMatchObject(down);
  await expect(store.create({ id: "s", ...session })).rejects.toMatchObject(down);
  await expect(store.get("s")).rejects.toMatchObject(down);
  await expect(store.create({ id: "s", ...session, payload: "x".repeat(100_000) })).rejects.toMatchObject(down);
  await server.restart();
  await expect
    .poll(
      () =>
        store.ensureSchema().then(
          () => "up",
          () => "down",
        ),
      { timeout: 60_000 },
    )
    .toBe("up");
  expect(await store.create({ id: "s", ...session, payload: "x".repeat(100_000) })).toMatchObject({
    status: "created",
  });
  await store.close();
});

test("a server that stands still: TIMEOUT in time, close does not wait for it, and it goes on afterwards", async () => {
  const pool = openPool(server.url);
  const patient = await openStore({ pool, table: "still" });
  await patient.create({ id: "s", ...session });
  const store = new MySQLStore({ pool, table: "still", timeoutMs: 500 });
  const owning = MySQLStore.fromUrl(server.url, { table: "still", timeoutMs: 10_000 });
  const sockets: Socket[] = [];
  const remember = (message: unknown): void => void sockets.push((message as { socket: Socket }).socket);
  subscribe("net.client.socket", remember);
  await owning.get("s");
  unsubscribe("net.client.socket", remember);
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false]);
  server.pause();
  const late = { code: "TIMEOUT", outcomeUnknown: true };
  await expect(store.update("s", { payload: "q" })).rejects.toMatchObject(late);
  // The connection that gave no answer is closed, and a server that stands still opens no other.
  await expect(store.get("s")).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
  await owning.close();
  // Nothing of its own keeps the process alive.
  await expect.poll(() => sockets[0]?.destroyed).toBe(true);
  server.resume();
  await expect.poll(() => patient.get("s").catch(() => undefined)).toMatchObject({ id: "s" });
  await pool.end();
});

test("a wrong password, a database that is not there, no database", async () => {
  const at = `127.0.0.1:${server.port}`;
  const cases: readonly (readonly [string, RegExp])[] = [
    [`mysql://root:wrong@${at}/sojourn`, /refused the login/],
    [`mysql://root@${at}/nowhere`, /no database is selected, or it does not exist/],
    [`mysql://root@${at}`, /no database is selected, or it does not exist/],
  ];
  for (const [url, message] of cases) {
    const store = MySQLStore.fromUrl(url, { table: "refused", timeoutMs: 10_000 });
    const refused = { code: "BACKEND", retryable: false, message: expect.stringMatching(message) };
    await expect(store.get("s")).rejects.toMatchObject(refused);
    await expect(store.create({ id: "s", ...session })).rejects.toMatchObject(refused);
    await expect(store.ensureSchema()).rejects.toMatchObject(refused);
    await store.close();
  }
});

test("a read-only server reads, and refuses writes until it is the primary", async () => {
  const admin = openPool(server.url);
  const store = await openStore({ pool: admin, table: "replica" });
  await store.create({ id: "s", userId: "u", ...session });
  await admin.query("CREATE USER reader@'127.0.0.1'");
  await admin.query("GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON sojourn.* TO reader@'127.0.0.1'");
  await admin.query("SET GLOBAL read_only = 1");
  const reading = MySQLStore.fromUrl(`mysql://reader@127.0.0.1:${server.port}/sojourn`, {
    table: "replica",
    timeoutMs: 10_000,
  });
  const refused = {
    code: "UNAVAILABLE",
    retryable: true,
    outcomeUnknown: false,
    message: expect.stringContaining("read-only"),
  };
  expect(await reading.get("s")).toMatchObject({ payload: "p" });
  expect(await reading.listByUser("u")).toHaveLength(1);
  expect(await reading.count()).toMatchObject({ sessions: 1 });
  await expect(reading.create({ id: "t", ...session })).rejects.toMatchObject(refused);
  await expect(reading.touch("s", { idleMs: hour })).rejects.toMatchObject(refused);
  await expect(reading.destroy("s")).rejects.toMatchObject(refused);
  await admin.query("SET GLOBAL read_only = 0");
  expect(await reading.touch("s", { idleMs: hour })).toBe(true);
  await reading.close();
  await admin.end();
});

test("connections that are killed are replaced", async () => {
  const admin = openPool(server.url);
  const pool = openPool(server.url, { connectionLimit: 3 });
  const store = await openStore({ pool, table: "replaced" });
  await store.create({ id: "s", ...session });
  const touches = () => Promise.all([1, 2, 3].map(() => store.touch("s", { idleMs: hour })));
  await touches();
  for (let round = 0; round < 3; round++) {
    const [rows] = await admin.query("SELECT ID AS id FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()");
    for (const { id } of rows as { id: number }[]) await admin.query(`KILL ${id}`).catch(() => {});
    await expect.poll(() => touches().catch(() => "lost")).toEqual([true, true, true]);
  }
  await Promise.all([pool.end(), admin.end()]);
});

test("a pool that its owner has closed", async () => {
  const pool = openPool(server.url);
  const store = await openStore({ pool, table: "owner" });
  await pool.end();
  await expect(store.get("s")).rejects.toMatchObject({ code: "CLOSED" });
  await expect(store.destroy("s")).rejects.toMatchObject({ code: "CLOSED" });
});

test("a peer that accepts and says nothing: no connection within the timeout", async () => {
  const proxy = await startTcpProxy(server.url);
  proxy.freeze("all");
  const pool = openPool(proxy.url, { connectTimeout: 1_000 });
  const store = new MySQLStore({ pool, timeoutMs: 300 });
  await expect(store.create({ id: "s", ...session })).rejects.toMatchObject({
    code: "UNAVAILABLE",
    outcomeUnknown: false,
  });
  await proxy.stop();
  await sleep(50);
  await pool.end();
});

test("a corrupt record: refused alone, reported in lists, left as it is", async () => {
  const pool = openPool(server.url);
  const store = await openStore({ pool, table: "corrupt" });
  for (const id of ["a", "b", "c"]) await store.create({ id, userId: "u", ...session });
  await pool.query("UPDATE corrupt SET payload = X'C328' WHERE id = 'b'");
  const reads = await Promise.allSettled(["a", "b", "c"].map((id) => store.get(id)));
  expect(reads.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(reads[1]).toMatchObject({ reason: { code: "CORRUPT" } });
  const reported: string[] = [];
  const onCorrupt = (error: Error) => reported.push(error.message);
  expect((await store.listByUser("u", { onCorrupt })).map(({ id }) => id)).toEqual(["a", "c"]);
  expect(reported).toEqual([expect.stringContaining('session "b"')]);
  expect(await selectNumber(pool, "SELECT COUNT(*) FROM corrupt WHERE payload = X'C328'")).toBe(1);
  expect(await store.destroyByUser("u")).toEqual(["a", "b", "c"]);
  await pool.end();
});
