import type { MySQLStore } from "@sojourn/mysql";
import { resolveMySQL } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

const hour = 3_600_000;
const session = { payload: "p", idleMs: hour, absoluteMs: 2 * hour };

const server = await resolveMySQL();
const pool = openPool(server.url);
const table = `takeover_${process.pid}`;
const stores: readonly [string, MySQLStore][] = [
  ["by procedures", await openStore({ pool, table, procedures: true })],
  ["by transactions", await openStore({ pool, table, procedures: false })],
];
afterAll(async () => {
  await pool.query(`DROP TABLE ${table}, ${table}_guards`);
  await pool.end();
  await server.stop();
});

describe.each(stores)("%s", (_, store) => {
  test("a session taken over keeps its age, its last activity and its version", async () => {
    await store.clear();
    const created = await store.create({ id: "old", ...session, ageMs: 5 * hour, inactiveMs: hour, version: 41 });
    const record = await store.get("old");
    expect(created).toMatchObject({ status: "created", record: { ...record, now: expect.any(Number) } });
    expect(record).toMatchObject({ version: 41, payload: "p" });
    const now = (record?.endsAt ?? 0) - 2 * hour;
    expect(record).toMatchObject({ createdAt: now - 5 * hour, lastActiveAt: now - hour, expiresAt: now + hour });
    expect(await store.update("old", { payload: "q" }, { expectedVersion: 41 })).toMatchObject({
      status: "updated",
      record: { version: 42 },
    });
  });

  test("the age decides who is evicted first and the order of the list", async () => {
    await store.clear();
    await store.create({ id: "young", userId: "u", ...session });
    await store.create({ id: "old", userId: "u", ...session, ageMs: hour });
    expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["old", "young"]);
    const limit = { max: 2, whenReached: "evictOldest" } as const;
    const aged = await store.create({ id: "oldest", userId: "u", ...session, ageMs: 2 * hour }, { limit });
    expect(aged).toMatchObject({ status: "created", evicted: ["old"] });
    expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["oldest", "young"]);
  });

  test("a rename with absoluteMs restarts the absolute deadline and caps the idle deadline again", async () => {
    await store.clear();
    await store.create({ id: "a", ...session });
    const shorter = await store.rename("a", "b", {}, {});
    expect(shorter).toMatchObject({ status: "renamed" });
    const capped = await store.rename("b", "c", { absoluteMs: 60_000 });
    expect(capped).toMatchObject({ status: "renamed", record: { ...(await store.get("c")), now: expect.any(Number) } });
    const record = await store.get("c");
    expect(record?.endsAt).toBe(record?.expiresAt);
    expect((record?.endsAt ?? 0) - (record?.now ?? 0)).toBeLessThanOrEqual(60_000);
    const longer = await store.rename("c", "d", { absoluteMs: 10 * hour, idleMs: 5 * hour });
    if (longer.status !== "renamed") throw new Error(longer.status);
    expect(longer.record.endsAt - longer.record.now).toBe(10 * hour);
    expect(longer.record.expiresAt - longer.record.now).toBe(5 * hour);
    expect(longer.record.createdAt).toBe(record?.createdAt);
  });
});

test("both kinds of nodes share a table and keep one limit", async () => {
  const limit = { max: 5, whenReached: "reject" } as const;
  const logins = Array.from({ length: 40 }, (_, n) => {
    const [, store] = stores[n % 2] ?? [];
    return store?.create({ id: `login ${n}`, userId: "shared", ...session }, { limit });
  });
  const outcomes = await Promise.all(logins);
  expect(outcomes.filter((outcome) => outcome?.status === "created")).toHaveLength(5);
  const [[, first]] = stores as [[string, MySQLStore]];
  expect(await first.listByUser("shared")).toHaveLength(5);
  expect(await first.destroyByUser("shared")).toHaveLength(5);
});
