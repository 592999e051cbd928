import { setTimeout as delay } from "node:timers/promises";
import { PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { countWaits, openPool, openStore } from "./harness.js";

const server = await startPostgres();
const pool = openPool(server.url);
const waits = countWaits(pool);
/** Connections of transactions that hold locks. */
const holders = openPool(server.url);
const store = await openStore({ pool, table: "written" });
afterAll(async () => {
  await Promise.all([pool.end(), holders.end()]);
  await server.stop();
});

const hour = 3_600_000;
const idle = { idleMs: hour };
const session = (id: string, payload = "before") => ({
  id,
  userId: `user of ${id}`,
  payload,
  idleMs: hour / 2,
  absoluteMs: 2 * hour,
});

/** Creates sessions for one test. */
async function create(name: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, n) => `${name} ${n}`);
  await Promise.all(ids.map((id) => store.create(session(id))));
  return ids;
}

/** Locks a row in a transaction of its own. Returns a function that releases it. */
async function hold(id: string): Promise<() => Promise<void>> {
  const client = await holders.connect();
  await client.query("BEGIN");
  await client.query("SELECT FROM written WHERE id = $1 FOR UPDATE", [id]);
  return async () => {
    await client.query("ROLLBACK");
    client.release();
  };
}

describe("writes of one tick", () => {
  test("64 updates are one round trip, and each gets its own answer", async () => {
    const ids = await create("updates", 64);
    const before = waits();
    // Different lengths in bytes, and characters that quoting must escape.
    const payloads = ids.map((_, n) => `${"é".repeat(n)}"\\\0{},NULL`);
    const results = await Promise.all(
      ids.map((id, n) => store.update(id, { payload: payloads[n] ?? "", ...idle }, { expectedVersion: 1 })),
    );
    expect(waits() - before).toBe(1);
    for (const [n, id] of ids.entries()) {
      const record = { id, userId: `user of ${id}`, payload: payloads[n], version: 2 };
      expect(results[n]).toMatchObject({ status: "updated", record, evicted: [] });
      expect(await store.get(id)).toMatchObject(record);
    }
    const { record } = results[0] as { record: { expiresAt: number; lastActiveAt: number } };
    expect(record.expiresAt - record.lastActiveAt).toBe(hour);
  });

  test("64 touches are one round trip, and move deadlines alone", async () => {
    const ids = await create("touches", 64);
    const before = waits();
    const shorten = (n: number) => (n % 2 === 0 ? { idleMs: 1_000 * n + 60_000, shorten: true } : { idleMs: 60_000 });
    expect(await Promise.all(ids.map((id, n) => store.touch(id, shorten(n))))).toEqual(ids.map(() => true));
    expect(waits() - before).toBe(1);
    for (const [n, id] of ids.entries()) {
      const record = await store.get(id);
      expect(record).toMatchObject({ payload: "before", version: 1 });
      const left = (record?.expiresAt ?? 0) - (record?.lastActiveAt ?? 0);
      if (n % 2 === 0) expect(left).toBe(1_000 * n + 60_000);
      else expect(left).toBeGreaterThan(hour / 2 - 60_000);
    }
  });

  test("a missing, an expired, a contested and a held session change nothing for the others", async () => {
    const ids = await create("mixed", 20);
    const [missing = "", expired = "", contested = "", held = "", ...others] = ids;
    await store.destroy(missing);
    await pool.query(
      "UPDATE written SET created_at = 'epoch', last_active_at = 'epoch', expires_at = 'epoch' WHERE id = $1",
      [expired],
    );
    await store.update(contested, { payload: "theirs" });
    const release = await hold(held);
    const write = (id: string) => store.update(id, { payload: "after", ...idle }, { expectedVersion: 1 });
    const waiting = write(held);
    const settled = Promise.all([missing, expired, contested, ...others].map(write));
    const [first, second, third, ...rest] = await settled;
    expect([first, second]).toEqual([{ status: "missing" }, { status: "missing" }]);
    expect(third).toMatchObject({ status: "conflict", current: { payload: "theirs", version: 2 } });
    for (const result of rest) expect(result).toMatchObject({ status: "updated", record: { payload: "after" } });
    const touched = await Promise.all([missing, expired, ...others].map((id) => store.touch(id, idle)));
    expect(touched).toEqual([false, false, ...others.map(() => true)]);
    await release();
    expect(await waiting).toMatchObject({ status: "updated", record: { id: held, version: 2 } });
    for (const id of [missing, expired]) expect(await store.get(id)).toBeUndefined();
  });

  test("a write that the server refuses fails only its own caller", async () => {
    const ids = await create("refused", 10);
    await pool.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.id = 'refused 3' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22003'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER refusing BEFORE UPDATE ON written FOR EACH ROW EXECUTE FUNCTION refuse()`);
    try {
      const updates = await Promise.allSettled(ids.map((id) => store.update(id, { payload: "after" })));
      const touches = await Promise.allSettled(ids.map((id) => store.touch(id, idle)));
      for (const [n] of ids.entries()) {
        if (n === 3) {
          for (const outcome of [updates[n], touches[n]]) {
            expect(outcome).toMatchObject({ status: "rejected", reason: { code: "BACKEND", outcomeUnknown: false } });
          }
        } else {
          expect(updates[n]).toMatchObject({ status: "fulfilled", value: { status: "updated" } });
          expect(touches[n]).toEqual({ status: "fulfilled", value: true });
        }
      }
    } finally {
      await pool.query("DROP TRIGGER refusing ON written; DROP FUNCTION refuse()");
    }
  });

  test("writes of one session are made one after the other", async () => {
    const [id = ""] = await create("same", 1);
    const payloads = Array.from({ length: 20 }, (_, n) => `${n}`);
    const blind = await Promise.all(payloads.map((payload) => store.update(id, { payload })));
    const versions = blind.map((result) => (result.status === "updated" ? result.record.version : 0));
    expect(versions.sort((a, b) => a - b)).toEqual(payloads.map((_, n) => n + 2));
    const checked = payloads.map((payload) => store.update(id, { payload }, { expectedVersion: 21 }));
    const statuses = (await Promise.all(checked)).map(({ status }) => status);
    expect(statuses.filter((status) => status === "updated")).toHaveLength(1);
    expect(statuses.filter((status) => status === "conflict")).toHaveLength(19);
  });

  test("a session that is destroyed or renamed meanwhile is written before that, or not at all", async () => {
    for (let round = 0; round < 30; round++) {
      const ids = await create(`ended ${round}`, 12);
      const outcomes = await Promise.all(
        ids.flatMap((id, n) => [
          store.update(id, { payload: "after", ...idle }),
          store.touch(id, idle),
          n % 2 === 0 ? store.destroy(id) : store.rename(id, `${id} renamed`),
        ]),
      );
      for (const [n, id] of ids.entries()) {
        expect(outcomes[3 * n]).toMatchObject({ status: expect.stringMatching(/updated|missing/) });
        expect(await store.get(id)).toBeUndefined();
        const renamed = await store.get(`${id} renamed`);
        if (n % 2 === 0) expect(renamed).toBeUndefined();
        else expect(renamed).toBeDefined();
      }
    }
  });
});

test("locked rows block no writes of other sessions", async () => {
  const held = await create("held", 12);
  const free = await create("free", 12);
  const release = await Promise.all(held.map(hold));
  const waiting = Promise.all(held.map((id) => store.touch(id, idle)));
  for (let round = 0; round < 5; round++) {
    expect(await Promise.all(free.map((id) => store.touch(id, idle)))).toEqual(free.map(() => true));
  }
  await Promise.all(release.map((end) => end()));
  expect(await waiting).toEqual(held.map(() => true));
});

test("two processes that write the same sessions in opposite orders cause no deadlock, and lose no write", async () => {
  const ids = await create("crosswise", 40);
  const other = openPool(server.url);
  try {
    const theirs = await openStore({ pool: other, table: "written" });
    const rounds = 25;
    const write = async (writer: typeof store, order: readonly string[]): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        const outcomes = await Promise.all(order.map((id) => writer.update(id, { payload: `${round}`, ...idle })));
        for (const { status } of outcomes) expect(status).toBe("updated");
      }
    };
    await Promise.all([write(store, ids), write(theirs, ids.toReversed())]);
    for (const id of ids) expect((await store.get(id))?.version).toBe(1 + 2 * rounds);
    expect(server.log()).not.toContain("deadlock detected");
  } finally {
    await other.end();
  }
});

test("a write that got no connection in time is never sent", async () => {
  const narrow = openPool(server.url, { max: 1 });
  const patient = await openStore({ pool: narrow, table: "written" });
  const hasty = new PostgresStore({ pool: narrow, table: "written", timeoutMs: 300 });
  const ids = await create("late", 4);
  const client = await narrow.connect();
  const outcomes = await Promise.allSettled(ids.map((id) => hasty.update(id, { payload: "late" })));
  client.release();
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "UNAVAILABLE", outcomeUnknown: false } });
  }
  // There is one connection only: a write that had been sent would have been made before this read.
  expect((await patient.get(ids[0] ?? ""))?.payload).toBe("before");
  await narrow.end();
});

test("each write of a statement that is not answered is TIMEOUT with an unknown outcome", async () => {
  const slow = openPool(server.url);
  // Opens its connection.
  await openStore({ pool: slow, table: "written" });
  const hasty = new PostgresStore({ pool: slow, table: "written", timeoutMs: 300 });
  const ids = await create("unanswered", 4);
  const holder = await holders.connect();
  await holder.query("BEGIN; LOCK TABLE written");
  const outcomes = await Promise.allSettled(ids.map((id) => hasty.touch(id, idle)));
  await holder.query("ROLLBACK");
  holder.release();
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "TIMEOUT", outcomeUnknown: true } });
  }
  expect(await Promise.all(ids.map((id) => store.touch(id, idle)))).toEqual(ids.map(() => true));
  await slow.end();
});

test("a write keeps its own deadline in a batch with an older write", async () => {
  const slow = openPool(server.url);
  const hasty = await openStore({ pool: slow, table: "written", timeoutMs: 6_000 });
  const ids = await create("patient", 8);
  const touch = (from: number) => Promise.allSettled(ids.slice(from, from + 2).map((id) => hasty.touch(id, idle)));
  const holder = await holders.connect();
  await holder.query("BEGIN; LOCK TABLE written");
  const waiting = async () =>
    (await pool.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).rowCount;
  const first = touch(0);
  await expect.poll(waiting).toBe(1);
  const second = touch(2);
  await expect.poll(waiting).toBe(2);
  // Both statements are under way, so the next writes wait: the older ones until their deadline, the younger ones half as long.
  const old = touch(4);
  await delay(3_000);
  const young = touch(6);
  for (const outcome of (await Promise.all([first, second, old])).flat()) {
    expect(outcome).toMatchObject({
      status: "rejected",
      reason: { code: expect.stringMatching(/TIMEOUT|UNAVAILABLE/) },
    });
  }
  await holder.query("ROLLBACK");
  holder.release();
  expect(await young).toEqual([0, 1].map(() => ({ status: "fulfilled", value: true })));
  await slow.end();
});
