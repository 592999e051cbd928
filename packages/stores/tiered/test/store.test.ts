import { isSessionError, MemoryBus, SessionManager, type SessionStore } from "@sojourn/core";
import { type BusListener, decorate, isGuarded, SessionError } from "@sojourn/core/adapter";
import { MemoryStore } from "@sojourn/memory";
import { TieredStore, type TieredStoreOptions } from "@sojourn/tiered";
import { expect, onTestFinished, test, vi } from "vitest";
import { AgeClock } from "../src/age-clock.js";

const session = (id: string, userId?: string) => ({
  id,
  userId,
  payload: `of ${id}`,
  idleMs: 60_000,
  absoluteMs: 90_000,
});

/** A tiered store, the store behind it, and the names of the calls that reach that one. */
function setUp(options: Partial<TieredStoreOptions> = {}) {
  const clock = { ms: 1_800_000_000_000, now: () => clock.ms };
  const l2 = new MemoryStore({ clock });
  const calls: string[] = [];
  const counted = decorate(l2, {
    get: (...args) => {
      calls.push("get");
      return l2.get(...args);
    },
    touch: (...args) => {
      calls.push("touch");
      return l2.touch(...args);
    },
    peek: () => undefined,
  });
  return { clock, l2, calls, store: new TieredStore({ l2: counted, clock, ...options }) };
}

test("a copy answers get and peek, with the store's time of now, and each caller has its own", async () => {
  const { store, clock, calls } = setUp({ maxStale: "5s" });
  await store.create(session("a"));
  const first = await store.get("a");
  clock.ms += 1_234;
  expect(store.peek("a")).toEqual({ ...first, now: clock.ms });
  expect(store.peek("a")).not.toBe(store.peek("a"));
  await store.get("a", { fresh: true });
  expect(calls).toEqual(["get"]);
  clock.ms += 5_000;
  expect(store.peek("a")).toBeUndefined();
  expect(store.statistics()).toMatchObject({ l1Hits: 4, l2Hits: 1, misses: 0, fills: 2, entries: 0, connected: true });
});

test("without a bus a copy lives one second, with one ten", async () => {
  for (const [bus, maxStaleMs] of [
    [undefined, 1_000],
    [new MemoryBus(), 10_000],
  ] as const) {
    const { store, clock } = setUp({ bus });
    await store.create(session("a"));
    clock.ms += maxStaleMs - 1;
    expect(store.peek("a")).toBeDefined();
    clock.ms += 1;
    expect(store.peek("a")).toBeUndefined();
  }
});

test("a session whose deadline has come is asked for: another process may have prolonged it", async () => {
  const { store, l2, clock, calls } = setUp({ maxStale: "1h" });
  await store.create({ ...session("a"), idleMs: 1_000 });
  await l2.touch("a", { idleMs: 5_000 });
  clock.ms += 1_000;
  expect(store.peek("a")).toBeUndefined();
  expect((await store.get("a"))?.expiresAt).toBe(clock.ms + 4_000);
  expect(calls).toEqual(["get"]);
});

test("a bus that is down turns copies off, up and gap empty them", async () => {
  let listener: BusListener | undefined;
  const bus = {
    subscribe: (subscriber: BusListener) => {
      listener = subscriber;
      return () => {
        listener = undefined;
      };
    },
    publish: () => {},
    close: async () => {},
  };
  const { store } = setUp({ bus });
  await store.create(session("a"));
  expect(store.statistics()).toMatchObject({ entries: 0, connected: false });
  listener?.state("up");
  await store.get("a");
  expect(store.statistics()).toMatchObject({ entries: 1, connected: true });
  listener?.state("gap");
  expect(store.statistics()).toMatchObject({ entries: 0, gaps: 1, connected: true });
  await store.get("a");
  listener?.state("down");
  await store.get("a");
  expect(store.statistics()).toMatchObject({ entries: 0, connected: false });
  await store.close();
  expect(listener).toBeUndefined();
  await expect(store.get("a")).rejects.toMatchObject({ code: "CLOSED" });
});

test("while the store is down a copy answers, and a write is an error", async () => {
  let isDown = false;
  const l2 = new MemoryStore();
  const down = async (): Promise<never> => {
    throw new SessionError("UNAVAILABLE", "down");
  };
  const failing = decorate(l2, {
    get: (...args) => (isDown ? down() : l2.get(...args)),
    update: (...args) => (isDown ? down() : l2.update(...args)),
  });
  const store = new TieredStore({ l2: failing, maxStale: "1h" });
  await store.create(session("a"));
  isDown = true;
  expect(await store.get("a")).toMatchObject({ payload: "of a" });
  await expect(store.update("a", { payload: "q" })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await expect(store.get("a", { fresh: true })).rejects.toMatchObject({ code: "UNAVAILABLE" });
});

test("a log-out everywhere of unknown outcome bars the user's sessions for maxStale", async () => {
  const clock = { ms: 1_800_000_000_000, now: () => clock.ms };
  const l2 = new MemoryStore({ clock });
  const late = decorate(l2, {
    destroyByUser: () => Promise.reject(new SessionError("TIMEOUT", "late")),
    peek: () => undefined,
  });
  const store = new TieredStore({ l2: late, clock, maxStale: "10s" });
  await store.create(session("a", "u"));
  await store.create(session("b", "v"));
  await expect(store.destroyByUser("u")).rejects.toSatisfy((error) => isSessionError(error, "TIMEOUT"));
  await store.get("a");
  expect(store.peek("a")).toBeUndefined();
  expect(store.peek("b")).toBeDefined();
  clock.ms += 10_000;
  await store.get("a");
  expect(store.peek("a")).toBeDefined();
});

test("warm reads ahead, by user or by ids, and leaves out what is missing", async () => {
  const { store, l2 } = setUp();
  for (const id of ["a", "b"]) await l2.create(session(id, "u"));
  await l2.create(session("c"));
  expect(await store.warm({ userId: "u" })).toBe(2);
  expect(await store.warm({ ids: new Set(["c", "missing"]) })).toBe(1);
  expect(["a", "b", "c"].map((id) => store.peek(id)?.payload)).toEqual(["of a", "of b", "of c"]);
});

test("copies are bounded in number and in bytes", async () => {
  const { store } = setUp({ l1: { maxEntries: 100, maxBytes: 20_000 } });
  for (let n = 0; n < 500; n++) await store.create({ ...session(String(n)), payload: "x".repeat(n % 2 ? 10 : 3_000) });
  const { entries, bytes, fills } = store.statistics();
  expect(entries).toBeGreaterThan(0);
  expect(entries).toBeLessThanOrEqual(100);
  expect(bytes).toBeLessThanOrEqual(20_000);
  expect(fills).toBe(500);
});

test("a session that is only read from copies is written once per touchAfter, and lives on", async () => {
  const { store, l2, clock, calls } = setUp({ maxStale: "1h", bus: new MemoryBus() });
  const manager = new SessionManager({
    store,
    clock,
    idleTimeout: "3s",
    absoluteTimeout: "1h",
    touchAfter: 500,
    sweep: false,
  });
  const { token, session: created } = await manager.create({ data: {} });
  for (let ms = 0; ms < 9_000; ms += 10) {
    clock.ms += 10;
    expect(await manager.get(token)).toBeDefined();
  }
  const touches = calls.filter((call) => call === "touch").length;
  expect(touches).toBeGreaterThanOrEqual(9_000 / 510 - 1);
  expect(touches).toBeLessThanOrEqual(9_000 / 500);
  expect(calls.length).toBeLessThanOrEqual(2 * touches + 1);
  expect((await l2.get(created.id))?.expiresAt).toBeGreaterThan(clock.ms + 2_400);
});

test("is a guarded store whatever the store behind it, and tells the bus itself where that does not", () => {
  const foreign: SessionStore = new Proxy(new MemoryStore(), {});
  for (const l2 of [new MemoryStore(), foreign]) {
    expect(isGuarded(new TieredStore({ l2 }))).toBe(true);
    expect(new TieredStore({ l2 }).capabilities.announces).toBeUndefined();
    expect(new TieredStore({ l2, bus: new MemoryBus() }).capabilities.announces).toBe(true);
  }
});

test("ages while the machine is suspended, and never goes back", () => {
  const times = { monotonic: 1_000, wall: 1_800_000_000_000 };
  const spies = [
    vi.spyOn(performance, "now").mockImplementation(() => times.monotonic),
    vi.spyOn(Date, "now").mockImplementation(() => times.wall),
  ];
  onTestFinished(() => spies.forEach((spy) => void spy.mockRestore()));
  const clock = new AgeClock();
  const begin = clock.now();
  const pass = (monotonic: number, wall: number): number => {
    times.monotonic += monotonic;
    times.wall += wall;
    return clock.now() - begin;
  };
  expect(pass(50, 51)).toBe(50);
  expect(pass(10, 60_010)).toBe(60_061);
  expect(pass(10, -3_600_000)).toBe(60_071);
  expect(pass(10, 10)).toBe(60_081);
});

test.each([
  [{ l2: undefined }, '@sojourn/tiered: option "l2" must be a session store, received undefined'],
  [{ bus: {} }, '@sojourn/tiered: option "bus" must be a session bus, received an object'],
  [{ maxStale: 0 }, 'option "maxStale" must be a duration'],
  [{ l1: { maxEntries: 0 } }, '@sojourn/tiered: option "l1.maxEntries" must be a positive integer, received 0'],
  [{ l1: { maxBytes: Number.NaN } }, '@sojourn/tiered: option "l1.maxBytes" must be a positive integer, received NaN'],
  [{ l1: { max: 1 } }, 'unknown option "max"'],
  [{ maxStaleMs: 1 }, 'unknown option "maxStaleMs"'],
])("refuses %j", (options, message) => {
  // Not what the types allow.
  const all = { l2: new MemoryStore(), ...options } as TieredStoreOptions;
  expect(() => new TieredStore(all)).toThrow(message);
});
