import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import { afterAll, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

// An automatic analysis holds an old snapshot, which keeps dead rows from being reused.
const server = await startPostgres({ settings: { autovacuum: "off" } });
const pool = openPool(server.url);
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const minute = 60_000;
const idle = { idleMs: 30 * minute };
const ids = Array.from({ length: 2_000 }, (_, n) => `a${n}`);
/** Another order than that of creation, so that touches of one tick write different pages. */
const visits = ids.map((_, n) => ids[(n * 37) % ids.length] ?? "");

test("10,000 touches write no index", { timeout: 120_000 }, async () => {
  const payload = "p".repeat(1_000);
  await onEach(ids, (store, id) => store.create({ id, userId: "u", payload, ...idle, absoluteMs: 600 * minute }));
  // The first touch moves sweep_at, which is indexed, ahead of the deadline for the next quarter of an hour.
  await onEach(visits, (store, id) => store.touch(id, idle));
  const before = await updatesOnceThereAre(ids.length);
  for (let round = 0; round < 5; round++) await onEach(visits, (store, id) => store.touch(id, idle));
  const after = await updatesOnceThereAre(6 * ids.length);
  const share = (after.heapOnly - before.heapOnly) / (after.all - before.all);
  console.log(`heap-only: ${(100 * share).toFixed(2)} % of ${after.all - before.all} touches`);
  expect(share).toBeGreaterThan(0.95);
});

test("sweep_at is never before the deadline, and at most one idle timeout after it", async () => {
  const store = await openStore({ pool, table: "moved" });
  await store.create({ id: "a", payload: "p", idleMs: minute, absoluteMs: 600 * minute });
  const lead = async (): Promise<number> => {
    const { rows } = await pool.query(
      "SELECT extract(epoch from sweep_at - expires_at)::float8 * 1000 AS lead FROM moved",
    );
    return rows[0].lead;
  };
  expect(await lead()).toBe(0);
  for (const idleMs of [minute, 10 * minute, 300 * minute, 599 * minute, minute]) {
    await store.touch("a", { idleMs, shorten: true });
    expect(await lead(), `${idleMs}`).toBeGreaterThanOrEqual(0);
    expect(await lead(), `${idleMs}`).toBeLessThanOrEqual(idleMs);
  }
});

async function onEach(
  order: readonly string[],
  operation: (store: PostgresStore, id: string) => Promise<unknown>,
): Promise<void> {
  const connections = openPool(server.url, { max: 10 });
  const store = await openStore({ pool: connections, table: "touched" });
  for (let n = 0; n < order.length; n += 100) {
    await Promise.all(order.slice(n, n + 100).map((id) => operation(store, id)));
  }
  // A connection reports its statistics when it ends.
  await connections.end();
}

async function updatesOnceThereAre(count: number): Promise<{ all: number; heapOnly: number }> {
  const query =
    "SELECT n_tup_upd::int AS all, n_tup_hot_upd::int AS hot FROM pg_stat_user_tables WHERE relname = 'touched'";
  for (;;) {
    const { rows } = await pool.query(query);
    if (rows[0].all >= count) return { all: rows[0].all, heapOnly: rows[0].hot };
    await sleep(20);
  }
}
