import type { PostgresPool } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import type pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { countWaits, openPool, openStore } from "./harness.js";

const server = await startPostgres();
const pool = openPool(server.url);
const waits = countWaits(pool);
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const minute = 60_000;

/** Inserts sessions that end in `endsInMs` milliseconds, or have ended before if that is negative. Every tenth is anonymous. */
async function fill(table: string, prefix: string, count: number, endsInMs: number): Promise<void> {
  await pool.query(
    `INSERT INTO ${table} SELECT $1 || n, CASE WHEN n % 10 > 0 THEN 'user ' || n % 1000 END, repeat('p', 200)::bytea, 1,
       t - interval '3 hours', t, t, t, t
     FROM generate_series(1, $2::int) n, LATERAL (SELECT now() + $3::float8 * interval '1 ms' + n * interval '1 ms' AS t) e`,
    [prefix, count, endsInMs],
  );
}

describe("sweep", () => {
  test("four sweepers remove every expired session, report it once, and leave live ones", async () => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => openStore({ pool, table: "swept" })));
    await fill("swept", "dead", 20_000, -60 * minute);
    await fill("swept", "live", 500, 60 * minute);
    const seen = new Map<string, number>();
    let quiet = 0;
    while (quiet < 2) {
      const batches = await Promise.all(stores.map((store) => store.sweep({ limit: 1_000 })));
      quiet = batches.flat().length === 0 ? quiet + 1 : 0;
      for (const { id } of batches.flat()) seen.set(id, (seen.get(id) ?? 0) + 1);
    }
    expect(seen.size).toBe(20_000);
    expect(Math.max(...seen.values())).toBe(1);
    expect((await stores[0]?.count())?.sessions).toBe(500);
  });

  test("while one node sweeps, a sweep of another returns nothing, without waiting", async () => {
    const store = await openStore({ pool, table: "led" });
    await fill("led", "dead", 10, -minute);
    const leader = await pool.connect();
    try {
      await leader.query("BEGIN");
      const { rows } = await leader.query("SELECT objid FROM pg_locks WHERE locktype = 'advisory'");
      expect(rows).toEqual([]);
      // The first sweep runs in this transaction, which holds the lock until its end.
      const swept = await openStore({ pool: lending(leader), table: "led" });
      expect(await swept.sweep({ limit: 5 })).toHaveLength(5);
      expect(await store.sweep({ limit: 100 })).toEqual([]);
      await leader.query("COMMIT");
    } finally {
      leader.release();
    }
    expect(await store.sweep({ limit: 100 })).toHaveLength(5);
  });

  test("a session that was locked, or was added behind the sweep, is removed by a later sweep", async () => {
    const store = await openStore({ pool, table: "behind" });
    await fill("behind", "dead", 30, -60 * minute);
    const holder = await pool.connect();
    try {
      await holder.query("BEGIN");
      await holder.query("SELECT FROM behind WHERE id = 'dead3' FOR UPDATE");
      expect(await store.sweep({ limit: 10 })).toHaveLength(10);
      await fill("behind", "older", 1, -120 * minute);
      expect(idsOf(await store.sweep({ limit: 10 }))).not.toContain("older1");
      expect(await store.sweep({ limit: 10 })).toHaveLength(9);
      expect(idsOf(await store.sweep({ limit: 10 }))).toEqual(["older1"]);
      await holder.query("COMMIT");
    } finally {
      holder.release();
    }
    expect(idsOf(await store.sweep({ limit: 10 }))).toEqual(["dead3"]);
  });
});

function idsOf(sessions: readonly { readonly id: string }[]): string[] {
  return sessions.map(({ id }) => id);
}

/** Returns a pool that lends one connection only, and ignores its release. */
function lending(client: pg.PoolClient): PostgresPool {
  return {
    connect(callback) {
      callback(undefined, {
        query: (query, answer) => client.query(query, answer),
        on: () => {},
        removeListener: () => {},
        release: () => {},
      });
    },
  };
}

test("64 reads of one tick are one round trip, and each gets its own session", async () => {
  const store = await openStore({ pool, table: "read" });
  const ids = Array.from({ length: 64 }, (_, n) => `a${n}`);
  const times = { idleMs: minute, absoluteMs: minute };
  await Promise.all(ids.map((id) => store.create({ id, payload: `payload of ${id}`, ...times })));
  await store.destroy("a7");
  const before = waits();
  const records = await Promise.all(ids.map((id) => store.get(id)));
  expect(waits() - before).toBe(1);
  expect(records.map((record) => record?.payload)).toEqual(
    ids.map((id) => (id === "a7" ? undefined : `payload of ${id}`)),
  );
});

test("150,000 sessions are counted, walked and cleared in batches", { timeout: 120_000 }, async () => {
  const store = await openStore({ pool, table: "many", timeoutMs: 30_000 });
  const neighbour = await openStore({ pool, table: "neighbour" });
  await fill("many", "live", 150_000, 60 * minute);
  await fill("many", "dead", 1_000, -60 * minute);
  await fill("neighbour", "live", 10, 60 * minute);
  const timings: string[] = [];
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<{ value: T; trips: number }> => {
    const started = performance.now();
    const before = waits();
    const value = await work();
    const trips = waits() - before;
    timings.push(`${name} ${Math.round(performance.now() - started)} ms, ${trips} trips`);
    return { value, trips };
  };

  const counted = await timed("count", () => store.count());
  expect(counted).toEqual({ trips: 1, value: { sessions: 150_000, sessionsWithUser: 135_000, users: 900 } });

  let heap = 0;
  const walked = await timed("scan", async () => {
    const ids = new Set<string>();
    for await (const { id } of store.scan()) {
      ids.add(id);
      if (ids.size % 10_000 === 0) heap = Math.max(heap, process.memoryUsage().heapUsed);
    }
    return ids.size;
  });
  expect(walked).toEqual({ trips: 301, value: 150_000 });

  const cleared = await timed("clear", () => store.clear());
  expect(cleared.trips).toBe(77);
  expect((await store.count()).sessions).toBe(0);
  expect(await pool.query("SELECT FROM many")).toMatchObject({ rowCount: 0 });
  expect((await neighbour.count()).sessions).toBe(10);
  console.log(`${timings.join("; ")}; at most ${Math.round(heap / 2 ** 20)} MB of heap while walking`);
});

test("clear ends a session that is renamed while it walks", async () => {
  for (let round = 0; round < 10; round++) {
    const store = await openStore({ pool, table: "renamed" });
    await fill("renamed", "m", 4_500, 60 * minute);
    let id = "m1";
    let cleared = false;
    const clearing = store.clear().then(() => {
      cleared = true;
    });
    for (let n = 0; !cleared; n++) {
      // Alternates between ids at the end of the walk and at its beginning.
      const next = `${n % 2 === 0 ? "a" : "z"} ${round} ${n}`;
      if ((await store.rename(id, next)).status !== "renamed") break;
      id = next;
    }
    await clearing;
    expect((await store.count()).sessions).toBe(0);
  }
});
