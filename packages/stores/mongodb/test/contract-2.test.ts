import { startMongoJavaServer } from "@sojourn/test-fixtures";
import { afterAll, expect, test } from "vitest";
import { countWaits, openClient6, openStore } from "./harness.js";

const hour = 3_600_000;
const server = await startMongoJavaServer();
const client = openClient6(server.url);
const store = await openStore({ client, dbName: "contract", collectionName: "sessions" });
afterAll(async () => {
  await store.close();
  await client.close();
  await server.stop();
});

test("a session taken over keeps its age, its last activity and its version, and its place among the oldest", async () => {
  const lives = { userId: "u", payload: "p", idleMs: hour, absoluteMs: 2 * hour };
  await store.create({ id: "young", ...lives });
  const created = await store.create({ id: "old", ...lives, ageMs: 5 * hour, inactiveMs: 3 * hour, version: 7 });
  const record = await store.get("old");
  expect(created).toMatchObject({ status: "created", record: { version: 7 } });
  expect(record).toMatchObject({ version: 7 });
  expect((record?.now ?? 0) - (record?.createdAt ?? 0)).toBeGreaterThanOrEqual(5 * hour - 1_000);
  expect((record?.lastActiveAt ?? 0) - (record?.createdAt ?? 0)).toBe(2 * hour);
  expect((record?.expiresAt ?? 0) - (record?.createdAt ?? 0)).toBe(6 * hour);
  expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["old", "young"]);
  const limit = { max: 2, whenReached: "evictOldest" } as const;
  expect(await store.create({ id: "next", ...lives }, { limit })).toMatchObject({ evicted: ["old"] });
});

test.each([
  ["shorter than the idle deadline", { idleMs: 3 * hour, absoluteMs: 4 * hour }, { absoluteMs: hour }, hour, 2],
  ["longer, and the idle deadline stays", { idleMs: hour, absoluteMs: 2 * hour }, { absoluteMs: 9 * hour }, hour, 2],
  ["longer, and lifts no cap of before", { idleMs: 3 * hour, absoluteMs: hour }, { absoluteMs: 9 * hour }, hour, 2],
  [
    "with an idle deadline",
    { idleMs: hour, absoluteMs: hour },
    { absoluteMs: 9 * hour, idleMs: 3 * hour },
    3 * hour,
    1,
  ],
])("a new absolute deadline at a rename: %s", async (name, lifetime, change, expected, trips) => {
  await store.create({ id: name, payload: "p", ...lifetime });
  // An idle deadline stored beyond the absolute one, as a touch may leave it.
  await store.touch(name, { idleMs: lifetime.idleMs });
  const waits = countWaits(client);
  const renamed = await store.rename(name, `${name}, renamed`, change);
  expect(waits()).toBeLessThanOrEqual(trips);
  const record = await store.get(`${name}, renamed`);
  expect(renamed).toMatchObject({
    status: "renamed",
    record: { expiresAt: record?.expiresAt, endsAt: record?.endsAt },
  });
  expect(Math.abs((record?.expiresAt ?? 0) - (record?.now ?? 0) - expected)).toBeLessThan(10_000);
  expect(Math.abs((record?.endsAt ?? 0) - (record?.now ?? 0) - change.absoluteMs)).toBeLessThan(10_000);
});
