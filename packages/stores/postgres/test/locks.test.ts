import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

const server = await startPostgres();
const pool = openPool(server.url);
let store: PostgresStore;
beforeAll(async () => {
  store = await openStore({ pool, table: "locks" });
});
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const hour = 3_600_000;
const session = (id: string, userId?: string, idleMs = hour) => ({
  id,
  userId,
  payload: "p",
  idleMs,
  absoluteMs: hour,
});
const evicting = { limit: { max: 1, whenReached: "evictOldest" } } as const;

describe("a session that expires while an operation waits for its row stays dead", () => {
  test.each<[string, (id: string) => Promise<unknown>, unknown]>([
    ["touch", (id) => store.touch(id, { idleMs: hour }), false],
    ["update", (id) => store.update(id, { payload: "late", idleMs: hour }), { status: "missing" }],
    [
      "update with a limit",
      (id) => store.update(id, { userId: "other", idleMs: hour }, evicting),
      { status: "missing" },
    ],
    ["rename", (id) => store.rename(id, `${id} new`, { idleMs: hour }), { status: "missing" }],
    [
      "rename with a limit",
      (id) => store.rename(id, `${id} new`, { userId: "o", idleMs: hour }, evicting),
      { status: "missing" },
    ],
    ["destroy", (id) => store.destroy(id), undefined],
    ["destroyByUser", (id) => store.destroyByUser(`user of ${id}`), []],
  ])("%s", async (name, operation, expected) => {
    // On a slow machine the session may expire before the operation waits: then the test tries a longer life.
    for (const life of [400, 4_000, 20_000]) {
      const id = `${name} ${life}`;
      await store.create(session(id, `user of ${id}`, life));
      // It changes nothing, so PostgreSQL does not check the condition of the waiting statement again.
      const holder = await lockRow(id);
      let settled = false;
      const waiting = operation(id).finally(() => {
        settled = true;
      });
      await untilWaiting(1, () => settled);
      const waited = !settled;
      if (waited) await sleep(life + 100);
      await holder.release();
      expect(await waiting).toEqual(expected);
      expect(await store.get(id)).toBeUndefined();
      expect(await store.get(`${id} new`)).toBeUndefined();
      if (waited) return;
    }
    expect.fail("no operation came to wait before its session had expired");
  });
});

// Reads use the time at which their statement began. That is after the wait, because planning locks the table.
test.each([true, false])(
  "a session that expires while reads wait for the table is not read, prepared: %s",
  async (prepared) => {
    const reading = await openStore({ pool, table: "locks", preparedStatements: prepared, timeoutMs: 60_000 });
    // On a slow machine the sessions may expire before the reads wait: then the test tries a longer life.
    for (const life of [1_000, 10_000, 40_000]) {
      const ids = ["one", "two"].map((each) => `${each} ${prepared} ${life}`);
      await Promise.all(ids.map((id) => store.create(session(id, undefined, life))));
      const until = Date.now() + life;
      const holder = await pool.connect();
      await holder.query("BEGIN; LOCK TABLE locks");
      const alone = reading.get(ids[0] ?? "");
      await untilWaiting(1);
      const together = Promise.all(ids.map((id) => reading.get(id)));
      await untilWaiting(2);
      const waited = Date.now() < until;
      if (waited) await sleep(life + 100);
      await holder.query("COMMIT");
      holder.release();
      expect([await alone, ...(await together)]).toEqual([undefined, undefined, undefined]);
      if (waited) return;
    }
    expect.fail("no read came to wait before its session had expired");
  },
);

/** Locks a row in a transaction of its own. */
async function lockRow(id: string, statement = "SELECT FROM locks WHERE id = $1 FOR UPDATE") {
  const client = await pool.connect();
  await client.query("BEGIN");
  expect((await client.query(statement, [id])).rowCount).toBe(1);
  return {
    async release(): Promise<void> {
      await client.query("COMMIT");
      client.release();
    },
  };
}

async function untilWaiting(connections: number, needless = () => false): Promise<void> {
  const query = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
  while (!needless() && (await pool.query(query)).rowCount !== connections) await sleep(5);
}

test("sessions that swap users, evict each other and are logged out cause no deadlock", async () => {
  const users = ["anna", "ben", "cleo"];
  const rounds = 40;
  let moved = 0;
  for (let round = 0; round < rounds; round++) {
    const ids = users.map((user) => `${round} ${user}`);
    for (const [n, id] of ids.entries()) await store.create(session(id, users[n]), evicting);
    const moves = ids.flatMap((id, n) => {
      const next = users[(n + 1) % users.length] ?? "";
      return [
        store.update(id, { userId: next }, evicting),
        store.rename(id, `${id} again`, { userId: next }, evicting),
        store.create(session(`${id} more`, next), evicting),
        ...(n === 0 ? [store.destroyByUser(next), store.touch(id, { idleMs: hour })] : []),
      ];
    });
    for (const outcome of await Promise.all([...moves, ...(round % 10 === 0 ? [store.clear()] : [])])) {
      if (outcome instanceof Object && "status" in outcome && outcome.status !== "missing") moved += 1;
    }
    for (const user of users) expect((await store.listByUser(user)).length).toBeLessThanOrEqual(1);
    await store.clear();
  }
  expect(moved).toBeGreaterThan(rounds * 3);
  expect(server.log()).not.toContain("deadlock detected");
});

test("of two sessions that would evict each other, one does, without a deadlock", async () => {
  await store.create(session("x", "xenia"));
  // Belongs to the user that "x" moves to. In the order of ids it is locked before "y" and "x".
  await store.create(session("a", "yves"));
  await store.create(session("y", "yves"));
  const holder = await lockRow("a");
  const first = store.update("x", { userId: "yves" }, evicting);
  await untilWaiting(1);
  const second = store.update("y", { userId: "xenia" }, evicting);
  let settled = false;
  void second.finally(() => {
    settled = true;
  });
  await untilWaiting(2, () => settled);
  await holder.release();
  const statuses = [(await first).status, (await second).status];
  expect(statuses.sort()).toEqual(["missing", "updated"]);
  expect(server.log()).not.toContain("deadlock detected");
});

test("an evicted session that is renamed at the same time is still evicted", async () => {
  await store.create(session("old", "escaping"));
  const renaming = await lockRow("old", "UPDATE locks SET id = 'renamed' WHERE id = $1");
  const creating = store.create(session("new", "escaping"), evicting);
  await untilWaiting(1);
  await renaming.release();
  expect(await creating).toMatchObject({ status: "created", evicted: ["renamed"] });
  expect(await store.listByUser("escaping")).toMatchObject([{ id: "new" }]);
});

test("the functions refuse every isolation level but READ COMMITTED", async () => {
  const client = await pool.connect();
  try {
    for (const level of ["REPEATABLE READ", "SERIALIZABLE"]) {
      for (const call of [
        "locks_create_v2('a', 'u', '', 1, 1, 0, 0, 1, 1, true)",
        "locks_change_v2('a', NULL, NULL, '', false, NULL, NULL, NULL, NULL, NULL)",
        "locks_destroy_by_user_v2('u', NULL)",
      ]) {
        await client.query(`BEGIN ISOLATION LEVEL ${level}`);
        await expect(client.query(`SELECT * FROM ${call}`), call).rejects.toMatchObject({ code: "SJ001" });
        await client.query("ROLLBACK");
      }
    }
  } finally {
    client.release();
  }
});

test("where transactions are REPEATABLE READ by default, the store sets the level, and the limit holds", async () => {
  const theirs = openPool(server.url, { options: "-c default_transaction_isolation=repeatable\\ read" });
  try {
    const other = await openStore({ pool: theirs, table: "locks" });
    const limit = { max: 5, whenReached: "evictOldest" } as const;
    const logins = Array.from({ length: 50 }, (_, n) => other.create(session(`login ${n}`, "busy"), { limit }));
    for (const { status } of await Promise.all(logins)) expect(status).toBe("created");
    expect(await other.listByUser("busy")).toHaveLength(5);
    const writes = Array.from({ length: 20 }, () => other.touch("login 49", { idleMs: hour }));
    await Promise.all(writes);
  } finally {
    await theirs.end();
  }
});
