import { readFile } from "node:fs/promises";
import { startPostgres } from "@sojourn/test-fixtures";
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
const hour = 60 * minute;
const century = 3_155_760_000_000;
const times = { idleMs: 30 * minute, absoluteMs: 12 * hour };
const limit = { max: 2, whenReached: "evictOldest" } as const;

describe("create of a session taken over", () => {
  test.each([
    ["without a limit", {}],
    ["with a limit", { limit }],
  ])("keeps age, last activity and version, in one round trip: %s", async (name, options) => {
    const store = await openStore({ pool, table: "taken" });
    await store.clear();
    const old = { ageMs: 5 * hour, inactiveMs: 10 * minute, version: 41 };
    await store.get("a");
    const before = waits();
    const created = await store.create({ id: name, userId: "u", payload: "p", ...times, ...old }, options);
    expect(waits() - before).toBe(1);
    if (created.status !== "created") expect.fail(created.status);
    const { record } = created;
    expect(record.now - record.createdAt).toBe(old.ageMs);
    expect(record.now - record.lastActiveAt).toBe(old.inactiveMs);
    expect(record.expiresAt - record.now).toBe(times.idleMs);
    expect(record.endsAt - record.now).toBe(times.absoluteMs);
    expect(await store.get(name)).toMatchObject({ ...record, now: expect.any(Number) });
    expect(await store.update(name, { payload: "q" }, { expectedVersion: 41 })).toMatchObject({
      status: "updated",
      record: { version: 42, createdAt: record.createdAt },
    });
  });

  test("orders lists and evictions by age", async () => {
    const store = await openStore({ pool, table: "ordered" });
    const create = (id: string, ageMs: number, options = {}) =>
      store.create({ id, userId: "u", payload: "p", ...times, ageMs }, options);
    await create("young", 0);
    await create("old", hour);
    expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["old", "young"]);
    expect(await create("oldest, but gained now", 2 * hour, { limit })).toMatchObject({ evicted: ["old"] });
  });

  test("holds the largest values", async () => {
    const store = await openStore({ pool, table: "largest" });
    const session = { id: "a", payload: "p", idleMs: century, absoluteMs: century };
    const created = await store.create({ ...session, ageMs: century, inactiveMs: century, version: 1_000_000_000 });
    if (created.status !== "created") expect.fail(created.status);
    const { now, ...record } = created.record;
    expect(record).toMatchObject({ createdAt: now - century, lastActiveAt: now - century, version: 1_000_000_000 });
    expect(await store.get("a")).toMatchObject(record);
  });
});

describe("rename with a new absolute deadline", () => {
  const create = async (id: string, idleMs: number, absoluteMs: number) => {
    const store = await openStore({ pool, table: "renamed" });
    await store.clear();
    const created = await store.create({ id, payload: "p", idleMs, absoluteMs });
    if (created.status !== "created") expect.fail(created.status);
    return { store, ...created.record };
  };

  test.each([
    ["later, with idleMs beyond the old one", hour, 2 * hour, 6 * hour, 4 * hour, 4 * hour],
    ["nearer, with idleMs beyond the new one", 4 * hour, 6 * hour, hour, 5 * hour, hour],
    ["nearer, with idleMs within it", 4 * hour, 6 * hour, 2 * hour, hour, hour],
  ])("%s", async (id, idle, absolute, absoluteMs, idleMs, left) => {
    const { store } = await create(id, idle, absolute);
    // A touch has moved the column that the sweep reads ahead of the deadline.
    await store.touch(id, { idleMs: idle, shorten: true });
    const before = waits();
    const renamed = await store.rename(id, "new", { absoluteMs, idleMs });
    expect(waits() - before).toBe(1);
    if (renamed.status !== "renamed") expect.fail(renamed.status);
    const { endsAt, expiresAt, lastActiveAt, version } = renamed.record;
    expect([endsAt - lastActiveAt, expiresAt - lastActiveAt, version]).toEqual([absoluteMs, left, 1]);
  });

  test("without idleMs: caps expiresAt, and never prolongs it", async () => {
    const { store, expiresAt } = await create("a", 4 * hour, 6 * hour);
    const longer = await store.rename("a", "b", { absoluteMs: 9 * hour });
    expect(longer).toMatchObject({ status: "renamed", record: { expiresAt } });
    const shorter = await store.rename("b", "c", { absoluteMs: hour });
    if (shorter.status !== "renamed") expect.fail(shorter.status);
    expect(shorter.record.endsAt).toBe(shorter.record.expiresAt);
    expect(shorter.record.expiresAt - shorter.record.now).toBe(hour);
    const { rows } = await pool.query("SELECT (sweep_at = ends_at) AS capped FROM renamed");
    expect(rows).toEqual([{ capped: true }]);
  });

  test("with a user and a limit, in the same step", async () => {
    const { store } = await create("a", hour, 2 * hour);
    for (const id of ["x", "y"]) await store.create({ id, userId: "u", payload: "p", ...times });
    const change = { userId: "u", payload: "q", absoluteMs: 6 * hour };
    const renamed = await store.rename("a", "b", change, { limit });
    expect(renamed).toMatchObject({ status: "renamed", evicted: ["x"], record: { version: 2, payload: "q" } });
  });
});

test("nodes of the release before and of this one work on one table", async () => {
  await pool.query(await readFile(new URL("fixtures/schema-v1.sql", import.meta.url), "utf8"));
  const login = (id: string) =>
    pool.query("SELECT status, evicted FROM rolling_create_v1($1, 'u', 'old', 3.6e6, 7.2e6, 2, true)", [id]);
  await login("a");
  const store = await openStore({ pool, table: "rolling" });
  expect(await store.get("a")).toMatchObject({ userId: "u", payload: "old", version: 1 });
  await store.create({ id: "b", userId: "u", payload: "new", ...times, ageMs: hour, version: 7 }, { limit });
  expect((await login("c")).rows).toEqual([{ status: "written", evicted: ["b"] }]);
  await store.rename("c", "d", { absoluteMs: 24 * hour });
  const change = "SELECT status FROM rolling_change_v1('d', 'e', 1, 'old', false, NULL, 3.6e6, NULL, NULL)";
  expect((await pool.query(change)).rows).toEqual([{ status: "written" }]);
  const ended = await pool.query("SELECT * FROM rolling_destroy_by_user_v1('u', NULL) AS id");
  expect(ended.rows).toEqual([{ id: "a" }, { id: "e" }]);
});
