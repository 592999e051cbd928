import { setImmediate as nextTurn } from "node:timers/promises";
import { Sweeper } from "@sojourn/core";
import type { NewSession } from "@sojourn/core/adapter";
import { MemoryStore } from "@sojourn/memory";
import { expect, test } from "vitest";
import { TestClock } from "./harness.js";

const day = 86_400_000;

const session = (id: string, idleMs: number): NewSession => ({ id, payload: "", idleMs, absoluteMs: 400 * day });

const clock = new TestClock();
const open = (): MemoryStore => new MemoryStore({ clock });

test("removes expired sessions to the millisecond, from one to 400 days", async () => {
  const store = open();
  const lifetimes = [1, 2, 31, 32, 33, 999, 1_000, 1_024, 60_000, 1_800_000, day, 31 * day, 400 * day];
  for (const ms of lifetimes) await store.create(session(`${ms}`, ms));
  let passed = 0;
  for (const ms of lifetimes) {
    clock.ms += ms - 1 - passed;
    expect(await store.sweep({ limit: 10 })).toEqual([]);
    clock.ms += 1;
    passed = ms;
    expect(await store.sweep({ limit: 10 })).toEqual([{ id: `${ms}`, userId: undefined }]);
  }
});

test("removes no more than its limit, each session once", async () => {
  const store = open();
  for (let n = 0; n < 5; n += 1) await store.create(session(`${n}`, 10 + n));
  clock.ms += 100;
  expect(await store.sweep({ limit: 2 })).toHaveLength(2);
  expect(await store.sweep({ limit: 3 })).toHaveLength(3);
  expect(await store.sweep({ limit: 3 })).toEqual([]);
});

test("a session whose deadline moved away is left alone, one whose deadline came nearer goes early", async () => {
  const store = open();
  await store.create(session("kept", 1_000));
  await store.create(session("shortened", 100_000));
  await store.create(session("updated", 100_000));
  await store.touch("kept", { idleMs: 100_000 });
  await store.touch("shortened", { idleMs: 10, shorten: true });
  await store.update("updated", { idleMs: 10 });
  clock.ms += 10;
  expect((await store.sweep({ limit: 10 })).map(({ id }) => id).sort()).toEqual(["shortened", "updated"]);
  clock.ms += 50_000;
  expect(await store.sweep({ limit: 10 })).toEqual([]);
  clock.ms += 50_000;
  expect((await store.sweep({ limit: 10 })).map(({ id }) => id)).toEqual(["kept"]);
});

test("an id created again over an expired session is not swept", async () => {
  const store = open();
  await store.create({ ...session("a", 10), userId: "u" });
  await store.create({ ...session("b", 10), userId: "u" });
  clock.ms += 10;
  await store.create(session("a", 1_000));
  // Counting takes expired sessions out of the index, so creating over one of them takes another path.
  await store.count();
  await store.create(session("b", 1_000));
  expect(await store.sweep({ limit: 10 })).toEqual([]);
  expect(await store.count()).toEqual({ sessions: 2, sessionsWithUser: 0, users: 0 });
});

test("counts exactly the live sessions, before and after the sweep", async () => {
  const store = open();
  for (let n = 0; n < 3_000; n += 1) await store.create({ ...session(`${n}`, 1 + n), userId: `${n % 100}` });
  clock.ms += 2_950;
  const counts = { sessions: 50, sessionsWithUser: 50, users: 50 };
  expect(await store.count()).toEqual(counts);
  await store.sweep({ limit: 1_000 });
  expect(await store.count()).toEqual(counts);
});

test("gives the event loop its turn, at any number of sessions", async () => {
  const store = open();
  for (let n = 0; n < 10_000; n += 1) await store.create(session(`${n}`, n % 2 === 0 ? 10 : 1_000));
  for (let n = 0; n < 10_000; n += 4) await store.touch(`${n}`, { idleMs: 100_000 });
  clock.ms += 1_000;
  let turns = 0;
  let isDone = false;
  const sweeping = store.sweep({ limit: 1_000_000 }).finally(() => {
    isDone = true;
  });
  while (!isDone) {
    turns += 1;
    await nextTurn();
  }
  expect(await sweeping).toHaveLength(7_500);
  expect(turns).toBeGreaterThan(50);
});

test("reports the removed sessions when the store is closed meanwhile", async () => {
  const store = open();
  for (let n = 0; n < 3_000; n += 1) await store.create(session(`${n}`, 10));
  clock.ms += 10;
  const sweeping = store.sweep({ limit: 3_000 });
  await store.close();
  expect((await sweeping).length).toBeGreaterThan(0);
});

test("a clock that is set back delays the sweep, and revives no session whose deadline is past", async () => {
  const store = open();
  await store.create(session("a", 1_000));
  clock.ms += 1_000;
  await store.create(session("b", 5_000));
  expect(await store.sweep({ limit: 10 })).toHaveLength(1);
  clock.ms -= 800;
  await store.create(session("c", 50));
  clock.ms += 50;
  expect(await store.get("c")).toBeUndefined();
  expect(await store.sweep({ limit: 10 })).toEqual([]);
  clock.ms += 750;
  expect((await store.sweep({ limit: 10 })).map(({ id }) => id)).toEqual(["c"]);
  expect((await store.get("b"))?.id).toBe("b");
});

test("a count is exact while the clock is set back", async () => {
  const store = open();
  await store.create(session("kept", day));
  await store.create(session("swept", 1_000));
  clock.ms += 1_000;
  expect(await store.sweep({ limit: 10 })).toHaveLength(1);
  clock.ms -= 800;
  await store.create({ ...session("short", 50), userId: "u" });
  clock.ms += 50;
  expect(await store.count()).toEqual({ sessions: 1, sessionsWithUser: 0, users: 0 });
});

test("a session counted as expired stays expired when the clock is set back, for every method", async () => {
  const store = open();
  await store.create({ ...session("a", 1_000), userId: "u" });
  clock.ms += 1_000;
  expect((await store.count()).sessions).toBe(0);
  clock.ms -= 1;
  expect(await store.get("a")).toBeUndefined();
  expect(await store.listByUser("u")).toEqual([]);
  expect(await store.touch("a", { idleMs: 10, shorten: true })).toBe(false);
  expect((await store.update("a", { userId: "v" })).status).toBe("missing");
  expect((await store.create({ ...session("a", 1_000), userId: "u" })).status).toBe("created");
  expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["a"]);
});

test("a scan sees each session that lives throughout once, while others come, go and are renamed", async () => {
  const store = open();
  for (let n = 0; n < 3_000; n += 1) await store.create(session(`lives ${n}`, 10_000));
  for (let n = 0; n < 3_000; n += 1) await store.create(session(`goes ${n}`, 10_000));
  let walked = 0;
  const seen = new Map<number, number>();
  for await (const { createdAt, id, payload } of store.scan()) {
    expect(createdAt).toBe(clock.ms);
    const [kind, n] = id.split(" ");
    if (kind !== "goes" && kind !== "comes" && payload === "") seen.set(Number(n), (seen.get(Number(n)) ?? 0) + 1);
    await store.destroy(`goes ${walked}`);
    await store.create({ ...session(`comes ${walked}`, 10_000), payload: "new" });
    await store.rename(`lives ${walked}`, `renamed ${walked}`);
    walked += 1;
  }
  expect(seen.size).toBe(3_000);
  expect(new Set(seen.values())).toEqual(new Set([1]));
});

test("core's Sweeper sweeps a store that has no manager", async () => {
  const store = open();
  for (let n = 0; n < 250; n += 1) await store.create(session(`${n}`, 10));
  clock.ms += 10;
  expect(await new Sweeper({ store, batchSize: 100 }).run()).toBe(250);
});
