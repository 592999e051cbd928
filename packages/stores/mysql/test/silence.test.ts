import { setTimeout as sleep } from "node:timers/promises";
import { isSessionError, type SessionError } from "@sojourn/core";
import { MySQLStore } from "@sojourn/mysql";
import { startFilteredProxy, startMySQL, startTcpProxy, whyNoPacketFilter } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { openPool, openStore, selectNumber } from "./harness.js";

const hour = 3_600_000;
const session = { payload: "p", idleMs: hour, absoluteMs: hour };
const timeoutMs = 1_000;

const server = await startMySQL();
const admin = openPool(server.url);
await openStore({ pool: admin, table: "silence" });
afterAll(async () => {
  await admin.end();
  await server.stop();
});

interface Recovery {
  /** Milliseconds until every caller got an answer again. */
  readonly ms: number;
  readonly failed: readonly SessionError[];
}

/** Reads and writes by so many callers, each of which calls again at once, until each has got an answer. */
async function recover(store: MySQLStore, callers: number): Promise<Recovery> {
  const failed: SessionError[] = [];
  const begunAt = performance.now();
  const recoverOne = async (caller: number): Promise<void> => {
    for (;;) {
      try {
        await (caller % 2 === 0 ? store.get(`s${caller}`) : store.touch(`s${caller}`, { idleMs: hour }));
        return;
      } catch (error) {
        if (!isSessionError(error)) throw error;
        failed.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => recoverOne(caller)));
  return { ms: performance.now() - begunAt, failed };
}

/** Opens all ten connections of the pool. */
async function fill(store: MySQLStore): Promise<void> {
  await Promise.all(Array.from({ length: 10 }, (_, n) => store.touch(`s${n}`, { idleMs: hour })));
}

describe.each([1, 10])("packets of all open connections are dropped, new connections pass: %i callers", (callers) => {
  test.skipIf(whyNoPacketFilter() !== undefined)("by a packet filter", async () => {
    const filtered = await startFilteredProxy(server.url);
    await admin.query(`CREATE USER IF NOT EXISTS root@'%'`);
    await admin.query("GRANT ALL ON *.* TO root@'%'");
    const store = MySQLStore.fromUrl(filtered.url, { table: "silence", timeoutMs });
    await fill(store);
    await filtered.dropPackets();
    const { ms, failed } = await recover(store, callers);
    console.log(
      `packets dropped, ${callers} callers: answers after ${Math.round(ms)} ms, ${failed.length} calls failed`,
    );
    expect(ms).toBeLessThan(2 * timeoutMs);
    expect(failed.every(({ retryable }) => retryable)).toBe(true);
    await store.close();
    await filtered.stop();
  });

  test("by a proxy", async () => {
    const proxy = await startTcpProxy(server.url);
    const store = MySQLStore.fromUrl(proxy.url, { table: "silence", timeoutMs });
    await fill(store);
    proxy.freeze();
    const { ms, failed } = await recover(store, callers);
    console.log(`proxy frozen, ${callers} callers: answers after ${Math.round(ms)} ms, ${failed.length} calls failed`);
    expect(ms).toBeLessThan(2 * timeoutMs);
    expect(failed.every(({ retryable }) => retryable)).toBe(true);
    await store.close();
    await proxy.stop();
  });
});

test.each([true, false])(
  "a locked row of one user leaves the reads of others alone, procedures: %s",
  async (procedures) => {
    const pool = openPool(server.url);
    const store = await openStore({ pool, table: "stuck", timeoutMs, procedures });
    const limit = { limit: { max: 20, whenReached: "evictOldest" } } as const;
    await store.create({ id: "own", userId: "stuck", ...session }, limit);
    for (let n = 0; n < 10; n++) await store.create({ id: `other ${n}`, ...session });
    const blocker = await admin.getConnection();
    await blocker.query("START TRANSACTION");
    await blocker.query("SELECT * FROM stuck_guards WHERE user_id = 'stuck' FOR UPDATE");
    await blocker.query("SELECT * FROM stuck WHERE id = 'own' FOR UPDATE");
    const stuck = [
      ...Array.from({ length: 10 }, (_, n) => store.create({ id: `new ${n}`, userId: "stuck", ...session }, limit)),
      ...Array.from({ length: 10 }, () => store.update("own", { payload: "q" })),
      store.rename("other 9", "renamed", { userId: "stuck" }, limit),
      store.destroyByUser("stuck"),
    ];
    const settled = Promise.allSettled(stuck);
    let answered = 0;
    for (let round = 0; round < 15; round++) {
      const reads = Array.from({ length: 10 }, (_, n) => store.get(`other ${n}`));
      const records = await Promise.all(reads);
      answered += records.filter((record) => record !== undefined).length;
      await sleep(20);
    }
    console.log(`stuck row, procedures ${procedures}: ${answered} of 150 reads of other sessions answered`);
    expect(answered).toBe(150);
    for (const outcome of await settled) {
      expect(outcome).toMatchObject({ status: "rejected", reason: { retryable: true } });
    }
    await blocker.query("COMMIT");
    blocker.release();
    await pool.end();
  },
);

test.each([true, false])(
  "a table locked for long piles up no connections on the server, procedures: %s",
  async (procedures) => {
    await admin.query("CREATE USER IF NOT EXISTS piling@'127.0.0.1'");
    await admin.query("GRANT ALL ON sojourn.* TO piling@'127.0.0.1'");
    const pool = openPool(server.url, { user: "piling", connectionLimit: 5 });
    const store = await openStore({ pool, table: "piled", timeoutMs: 500, procedures });
    const blocker = await admin.getConnection();
    await blocker.query("LOCK TABLES piled WRITE, piled_guards WRITE");
    const connections = () =>
      selectNumber(admin, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'piling'");
    let most = 0;
    const end = performance.now() + 8_000;
    const caller = async (n: number): Promise<void> => {
      const calls = [() => store.get(`s${n}`), () => store.touch(`s${n}`, { idleMs: 1 }), () => store.listByUser("u")];
      while (performance.now() < end) {
        await calls[n % 3]?.().catch(() => undefined);
        most = Math.max(most, await connections());
      }
    };
    try {
      await Promise.all(Array.from({ length: 12 }, (_, n) => caller(n)));
    } finally {
      await blocker.query("UNLOCK TABLES");
      blocker.release();
    }
    console.log(`table locked for 8 s, procedures ${procedures}: at most ${most} connections of a pool of 5`);
    // Five that wait for good since before the first deadline, five in the pool, and those that end within a second. Without
    // the bound there are 80.
    expect(most).toBeLessThanOrEqual(30);
    await expect.poll(() => store.get("s0").catch(() => "down")).toBe(undefined);
    await pool.end();
  },
);

test("a connection that was closed while it was idle: a read is sent once more, on another connection", async () => {
  const proxy = await startTcpProxy(server.url);
  const store = MySQLStore.fromUrl(proxy.url, { table: "silence", timeoutMs: 10_000 });
  await store.create({ id: "kept", ...session });
  await fill(store);
  // The read leaves before the reset is noticed.
  const reading = store.get("kept");
  proxy.cut("reset");
  expect(await reading).toMatchObject({ payload: "p" });
  const writing = store.update("kept", { payload: "q" });
  proxy.cut("reset");
  expect(await writing.catch((error: unknown) => error)).toSatisfy(
    (outcome) => isSessionError(outcome, "UNAVAILABLE") || (outcome as { status: string }).status === "updated",
  );
  await store.close();
  await proxy.stop();
});

test("reads in flight on a connection that breaks end at once, not at the deadline", async () => {
  const proxy = await startTcpProxy(server.url);
  const store = MySQLStore.fromUrl(proxy.url, {
    table: "silence",
    timeoutMs: 10_000,
    driverOptions: { connectionLimit: 1 },
  });
  await store.get("s");
  const blocker = await admin.getConnection();
  await blocker.query("LOCK TABLES silence WRITE");
  const reading = store.get("s");
  const writing = store.touch("s", { idleMs: 1 });
  const begunAt = performance.now();
  await sleep(50);
  proxy.freeze("all");
  proxy.cut("reset");
  await proxy.stop();
  const [read, written] = await Promise.allSettled([reading, writing]);
  expect(read).toMatchObject({ status: "rejected", reason: { code: "UNAVAILABLE", outcomeUnknown: false } });
  expect(written).toMatchObject({ status: "rejected", reason: { code: "UNAVAILABLE" } });
  expect(performance.now() - begunAt).toBeLessThan(2_000);
  await blocker.query("UNLOCK TABLES");
  blocker.release();
  await store.close();
});
