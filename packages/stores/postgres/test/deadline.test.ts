import { SessionManager } from "@sojourn/core";
import { type PostgresPool, PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

const server = await startPostgres();
const pool = openPool(server.url);
const patient = await openStore({ pool, table: "timed" });
afterAll(async () => {
  await pool.end();
  await server.stop();
});
beforeEach(() => patient.clear());

const minute = 60_000;
const session = (id: string) => ({ id, userId: "u", payload: "before", idleMs: minute, absoluteMs: minute });
const notSent = { code: "UNAVAILABLE", outcomeUnknown: false, retryable: true };

/** Returns a pool that lends no connection before `lend` is called. */
function withholding(): PostgresPool & { lend(): void } {
  let waiting: (() => void)[] = [];
  return {
    connect(callback) {
      waiting.push(() => pool.connect(callback));
    },
    lend() {
      for (const connect of waiting) connect();
      waiting = [];
    },
  };
}

/** Waits until each request for a connection has been served, and each connection given back. */
async function untilLent(): Promise<void> {
  await expect.poll(() => pool.waitingCount + pool.totalCount - pool.idleCount).toBe(0);
}

describe("a pool that never lends a connection", () => {
  test("every method of the store is UNAVAILABLE, and nothing is sent later", async () => {
    const withheld = withholding();
    const store = new PostgresStore({ pool: withheld, table: "timed", timeoutMs: 100 });
    await patient.create(session("a"));
    const limit = { max: 1, whenReached: "evictOldest" } as const;
    const calls = [
      store.get("a"),
      store.create(session("b")),
      store.create(session("c"), { limit }),
      store.update("a", { payload: "late" }),
      store.touch("a", { idleMs: minute / 2, shorten: true }),
      store.rename("a", "d"),
      store.destroy("a"),
      store.listByUser("u"),
      store.destroyByUser("u"),
      store.sweep({ limit: 1 }),
      store.count(),
      store.clear(),
      store.ensureSchema(),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: notSent });
    }
    withheld.lend();
    await untilLent();
    expect(await patient.listByUser("u")).toMatchObject([{ id: "a", payload: "before", version: 1 }]);
  });

  test("get, create and update by the manager are UNAVAILABLE, and nothing is sent later", async () => {
    const withheld = withholding();
    const store = new PostgresStore({ pool: withheld, table: "timed", timeoutMs: 100 });
    const { token } = await new SessionManager({ store: patient }).create({ userId: "u", data: { n: 1 } });
    const manager = new SessionManager({ store });
    const calls = [
      manager.get(token),
      manager.create({ userId: "u", data: { n: 1 } }),
      manager.update(token, (data) => ({ ...data, n: 2 })),
    ];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: "rejected", reason: notSent });
    }
    withheld.lend();
    await untilLent();
    expect(await patient.listByUser("u")).toMatchObject([{ version: 1 }]);
  });
});

test("a write that waits behind a hanging write of its session is UNAVAILABLE, and is not sent later", async () => {
  await patient.create(session("a"));
  const holder = await pool.connect();
  await holder.query("BEGIN; SELECT FROM timed WHERE id = 'a' FOR UPDATE");
  const store = new PostgresStore({ pool, table: "timed", timeoutMs: 300 });
  const [first, second] = await Promise.allSettled([store.touch("a", { idleMs: minute }), store.destroy("a")]);
  await holder.query("ROLLBACK");
  holder.release();
  expect(first).toMatchObject({ status: "rejected", reason: { code: "TIMEOUT", outcomeUnknown: true } });
  expect(second).toMatchObject({ status: "rejected", reason: notSent });
  await untilLent();
  expect(await patient.get("a")).toMatchObject({ id: "a" });
});

test("a batch sends only the members that still wait when a connection is lent", async () => {
  const ids = ["a", "b", "c", "d"];
  await Promise.all(ids.map((id) => patient.create(session(id))));
  const withheld = withholding();
  const store = new PostgresStore({ pool: withheld, table: "timed", timeoutMs: 60_000 });
  const abort = new AbortController();
  const [waiting, late, aborted, other] = ids.map((id, n) => {
    const call = [{}, { timeoutMs: 100 }, { signal: abort.signal }, {}][n] ?? {};
    return store.update(id, { payload: "after" }, {}, call);
  });
  await expect(late).rejects.toMatchObject(notSent);
  abort.abort();
  await expect(aborted).rejects.toMatchObject({ code: "ABORTED", outcomeUnknown: false });
  withheld.lend();
  expect(await waiting).toMatchObject({ status: "updated", record: { version: 2 } });
  expect(await other).toMatchObject({ status: "updated", record: { version: 2 } });
  const stored = (await patient.listByUser("u")).map(({ id, payload }) => [id, payload]);
  expect(Object.fromEntries(stored)).toEqual({ a: "after", b: "before", c: "before", d: "after" });
});

test("a visitor's abort closes no connection of the pool", async () => {
  const narrow = openPool(server.url, { max: 1 });
  let closed = 0;
  narrow.on("remove", () => {
    closed += 1;
  });
  const store = await openStore({ pool: narrow, table: "timed" });
  await patient.create(session("a"));
  const holder = await pool.connect();
  await holder.query("BEGIN; LOCK TABLE timed");
  const abort = new AbortController();
  const reading = store.get("a", {}, { signal: abort.signal });
  const waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
  await expect.poll(async () => (await pool.query(waiting)).rowCount).toBe(1);
  abort.abort();
  await expect(reading).rejects.toMatchObject({ code: "ABORTED" });
  await holder.query("ROLLBACK");
  holder.release();
  expect(await store.get("a")).toMatchObject({ id: "a" });
  expect(closed).toBe(0);
  await narrow.end();
});
