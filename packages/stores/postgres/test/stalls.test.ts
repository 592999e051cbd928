import { setTimeout as sleep } from "node:timers/promises";
import { PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import type pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";
import { pgBouncer, startPgBouncer } from "./pgbouncer.js";

/*
 * A statement that waits on the server: for a row, a table, a standby. The call is answered in time, and the server's process
 * must not go on waiting after that.
 */

const server = await startPostgres();
const pool = openPool(server.url);
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const minute = 60_000;
const timeoutMs = 250;
const max = 5;
const session = (id: string) => ({ id, userId: "u", payload: "p", idleMs: minute, absoluteMs: minute });
const unanswered = { code: "TIMEOUT", outcomeUnknown: true };

/** Counts the server processes of an application, and those that wait. */
async function backends(application = "stalled"): Promise<{ all: number; waiting: number }> {
  const { rows } = await pool.query(
    `SELECT count(*)::int AS all, count(*) FILTER (WHERE wait_event_type IN ('Lock', 'IPC'))::int AS waiting
     FROM pg_stat_activity WHERE application_name = $1`,
    [application],
  );
  return rows[0];
}

/** Runs `work` while a transaction holds the locks of the statement. */
async function whileHeld(statement: string, work: () => Promise<void>): Promise<void> {
  const holder = await pool.connect();
  try {
    await holder.query(`BEGIN; ${statement}`);
    await work();
  } finally {
    await holder.query("ROLLBACK");
    holder.release();
  }
}

/** Calls without a pause, by twice as many callers as connections. Returns the most server processes seen, and the error codes. */
async function press(call: (n: number) => Promise<unknown>, forMs: number): Promise<{ most: number; codes: string[] }> {
  const until = performance.now() + forMs;
  const codes = new Set<string>();
  let calls = 0;
  const callers = Array.from({ length: 2 * max }, async () => {
    while (performance.now() < until) {
      calls += 1;
      await call(calls).catch((error: { code: string }) => codes.add(error.code));
    }
  });
  let most = 0;
  while (performance.now() < until) {
    most = Math.max(most, (await backends()).all);
    await sleep(20);
  }
  await Promise.all(callers);
  return { most, codes: [...codes].sort() };
}

function openStalled(url: string): { stalled: pg.Pool; store: PostgresStore } {
  const stalled = openPool(url, { max, application_name: "stalled" });
  return { stalled, store: new PostgresStore({ pool: stalled, table: "stalled", timeoutMs }) };
}

describe("connections on the server stay within the pool's size, and stop waiting", () => {
  test("while a table is locked", async () => {
    const patient = await openStore({ pool, table: "stalled" });
    await patient.create(session("a"));
    const { stalled, store } = openStalled(server.url);
    await whileHeld("LOCK TABLE stalled", async () => {
      const { most, codes } = await press((n) => store.destroy(`b${n}`), 12 * timeoutMs);
      // A process that was cancelled takes a moment to end.
      expect(most).toBeLessThanOrEqual(2 * max);
      expect(codes).toEqual(["TIMEOUT", "UNAVAILABLE"]);
      await expect.poll(async () => (await backends()).waiting).toBe(0);
    });
    expect(await store.get("a")).toMatchObject({ id: "a" });
    await stalled.end();
  });

  test("while a row is locked: reads of other sessions pass", async () => {
    const patient = await openStore({ pool, table: "stalled" });
    await Promise.all(["row", "free"].map((id) => patient.create(session(id))));
    const { stalled, store } = openStalled(server.url);
    await whileHeld("SELECT FROM stalled WHERE id = 'row' FOR UPDATE", async () => {
      const touching = press(() => store.touch("row", { idleMs: minute }), 8 * timeoutMs);
      const reading = press(() => store.get("free"), 8 * timeoutMs);
      expect((await reading).codes).toEqual([]);
      expect((await touching).most).toBeLessThanOrEqual(2 * max);
    });
    await expect.poll(async () => (await backends()).waiting).toBe(0);
    await stalled.end();
  });

  test("while a synchronous standby is silent", async () => {
    await openStore({ pool, table: "stalled" });
    const { stalled, store } = openStalled(server.url);
    await pool.query("ALTER SYSTEM SET synchronous_standby_names = 'nowhere'");
    await pool.query("SELECT pg_reload_conf()");
    try {
      await expect
        .poll(() => store.create(session(`s${performance.now()}`)).catch((error) => error))
        .toMatchObject(unanswered);
      const { most } = await press((n) => store.create(session(`c${n}`)), 8 * timeoutMs);
      expect(most).toBeLessThanOrEqual(2 * max);
      await expect.poll(async () => (await backends()).waiting).toBe(0);
    } finally {
      await pool.query("ALTER SYSTEM RESET synchronous_standby_names");
      await pool.query("SELECT pg_reload_conf()");
    }
    await stalled.end();
  });

  test("while a statement outlasts the pool's query_timeout", async () => {
    await openStore({ pool, table: "stalled" });
    const hasty = openPool(server.url, { max: 1, application_name: "hasty", query_timeout: 100 });
    const store = new PostgresStore({ pool: hasty, table: "stalled", timeoutMs: 10_000 });
    await whileHeld("LOCK TABLE stalled", async () => {
      await expect(store.destroy("a")).rejects.toMatchObject(unanswered);
      await expect.poll(() => backends("hasty")).toEqual({ all: 0, waiting: 0 });
    });
    await hasty.end();
  });

  test.skipIf(pgBouncer === undefined)("behind PgBouncer in transaction mode", async () => {
    const pooler = await startPgBouncer(pgBouncer ?? "", server.port);
    const patient = await openStore({ pool, table: "stalled" });
    await patient.create(session("pooled"));
    const { stalled, store } = openStalled(pooler.url);
    await whileHeld("LOCK TABLE stalled", async () => {
      await press((n) => store.destroy(`b${n}`), 8 * timeoutMs);
      const waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()";
      await expect.poll(async () => (await pool.query(waiting)).rowCount).toBe(0);
    });
    expect(await store.get("pooled")).toMatchObject({ id: "pooled" });
    await stalled.end();
    await pooler.stop();
  });
});

test("a statement that was sent by a socket file is cancelled, too", async () => {
  await openStore({ pool, table: "stalled" });
  const { port } = server;
  const file = openPool(`postgres://postgres@/postgres?host=${encodeURIComponent(server.dir)}&port=${port}`, {
    max: 1,
    application_name: "stalled",
  });
  const store = new PostgresStore({ pool: file, table: "stalled", timeoutMs });
  await store.get("a");
  await whileHeld("LOCK TABLE stalled", async () => {
    await expect(store.destroy("a")).rejects.toMatchObject(unanswered);
    await expect.poll(backends).toEqual({ all: 0, waiting: 0 });
  });
  await file.end();
});
