import { type EndedSession, isSessionError } from "@sojourn/core";
import type { NewSession } from "@sojourn/core/adapter";
import { MemoryStore, type MemoryStoreOptions } from "@sojourn/memory";
import { describe, expect, test, vi } from "vitest";
import { TestClock } from "./harness.js";

const session = (id: string, change: Partial<NewSession> = {}): NewSession => ({
  id,
  payload: "p",
  idleMs: 1_000,
  absoluteMs: 10_000,
  ...change,
});

interface Opened {
  readonly store: MemoryStore;
  readonly clock: TestClock;
  readonly evicted: EndedSession[];
}

function open(options: MemoryStoreOptions): Opened {
  const clock = new TestClock();
  const store = new MemoryStore({ clock, ...options });
  const evicted: EndedSession[] = [];
  store.onEvicted((ended) => evicted.push(ended));
  return { store, clock, evicted };
}

async function idsIn(store: MemoryStore): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of store.scan()) ids.push(id);
  return ids.sort();
}

describe("maxSessions", () => {
  test("evicts the least recently used session, and names it", async () => {
    const { store, evicted } = open({ maxSessions: 3 });
    for (const id of ["a", "b", "c"]) await store.create(session(id, { userId: `user of ${id}` }));
    await store.create(session("d"));
    expect(evicted).toEqual([{ id: "a", userId: "user of a" }]);
    expect(await idsIn(store)).toEqual(["b", "c", "d"]);
    expect(await store.listByUser("user of a")).toEqual([]);
    expect(await store.count()).toEqual({ sessions: 3, sessionsWithUser: 2, users: 2 });
  });

  test.each<[string, (store: MemoryStore) => Promise<unknown>]>([
    ["get", (store) => store.get("a")],
    ["touch", (store) => store.touch("a", { idleMs: 1 })],
    ["update", (store) => store.update("a", {})],
    ["rename", (store) => store.rename("a", "A")],
  ])("%s counts as use", async (_name, use) => {
    const { store, evicted } = open({ maxSessions: 3 });
    for (const id of ["a", "b", "c"]) await store.create(session(id));
    await use(store);
    for (const id of ["d", "e"]) await store.create(session(id));
    expect(evicted.map(({ id }) => id)).toEqual(["b", "c"]);
  });

  test("list, scan and count do not count as use", async () => {
    const { store, evicted } = open({ maxSessions: 2 });
    for (const id of ["a", "b"]) await store.create(session(id, { userId: "u" }));
    await store.listByUser("u");
    await idsIn(store);
    await store.count();
    await store.create(session("c"));
    expect(evicted.map(({ id }) => id)).toEqual(["a"]);
  });

  test("ends expired sessions first, and reports none", async () => {
    const { store, clock, evicted } = open({ maxSessions: 4 });
    await store.create(session("oldest"));
    await store.create(session("short", { idleMs: 5 }));
    await store.create(session("shorter", { idleMs: 3 }));
    await store.create(session("young"));
    clock.ms += 5;
    await store.create(session("c"));
    await store.create(session("d"));
    expect(evicted).toEqual([]);
    expect(await idsIn(store)).toEqual(["c", "d", "oldest", "young"]);
    await store.create(session("e"));
    expect(evicted.map(({ id }) => id)).toEqual(["oldest"]);
    expect(await store.sweep({ limit: 10 })).toEqual([]);
  });

  test("ends expired sessions first also when they have been counted out already", async () => {
    const { store, clock, evicted } = open({ maxSessions: 2 });
    await store.create(session("live"));
    await store.create(session("expired", { userId: "u", idleMs: 5 }));
    clock.ms += 5;
    expect(await store.count()).toEqual({ sessions: 1, sessionsWithUser: 0, users: 0 });
    await store.create(session("new"));
    expect(evicted).toEqual([]);
    expect(await idsIn(store)).toEqual(["live", "new"]);
  });

  test("a refused create evicts no session", async () => {
    const { store, evicted } = open({ maxSessions: 2 });
    for (const id of ["a", "b"]) await store.create(session(id, { userId: "u" }));
    await store.create(session("a"));
    const limit = { max: 2, whenReached: "reject" } as const;
    expect(await store.create(session("c", { userId: "u" }), { limit })).toEqual({ status: "limitReached" });
    expect(evicted).toEqual([]);
  });

  test("sessions that the user's limit ends make room: no other session is evicted", async () => {
    const { store, evicted } = open({ maxSessions: 2 });
    for (const id of ["a", "b"]) await store.create(session(id, { userId: id }));
    const limit = { max: 1, whenReached: "evictOldest" } as const;
    expect(await store.create(session("c", { userId: "b" }), { limit })).toMatchObject({ evicted: ["b"] });
    expect(evicted).toEqual([]);
    expect(await idsIn(store)).toEqual(["a", "c"]);
  });
});

describe("maxBytes", () => {
  const maxBytes = 65_536;
  const large = "x".repeat(16_000);

  test("evicts the least recently used sessions until the new one fits", async () => {
    const { store, evicted } = open({ maxBytes });
    for (const id of ["a", "b", "c", "d"]) await store.create(session(id, { payload: large }));
    expect(evicted).toEqual([]);
    await store.create(session("e", { payload: large }));
    expect(evicted.map(({ id }) => id)).toEqual(["a"]);
    await store.create(session("small"));
    expect(evicted.map(({ id }) => id)).toEqual(["a"]);
  });

  test("counts two bytes for each character where V8 needs them", async () => {
    const { store, evicted } = open({ maxBytes });
    for (const id of ["a", "b", "c"]) await store.create(session(id, { payload: `${"x".repeat(15_000)}用` }));
    expect(evicted.map(({ id }) => id)).toEqual(["a"]);
  });

  test("a session that grows evicts others, never itself, even when it was the least recently used", async () => {
    const { store, evicted } = open({ maxBytes });
    await store.create(session("a"));
    for (const id of ["b", "c", "d", "e"]) await store.create(session(id, { payload: "x".repeat(15_500) }));
    expect(evicted).toEqual([]);
    expect(await store.update("a", { payload: large })).toMatchObject({
      status: "updated",
      record: { payload: large },
    });
    expect(evicted.map(({ id }) => id)).toEqual(["b"]);
    expect((await store.get("a"))?.payload).toBe(large);
  });

  test("a session that is destroyed, made smaller or swept releases its bytes", async () => {
    const { store, clock, evicted } = open({ maxBytes });
    for (let round = 0; round < 20; round += 1) {
      for (const id of ["a", "b"]) await store.create(session(id, { payload: large }));
      await store.create(session("c", { payload: large, idleMs: 5 }));
      await store.destroy("a");
      await store.update("b", { payload: "" });
      clock.ms += 5;
      expect(await store.sweep({ limit: 10 })).toHaveLength(1);
      await store.destroy("b");
    }
    expect(evicted).toEqual([]);
  });

  test("the largest payload that the store declares fits alone, in one or two bytes a character", async () => {
    const { store } = open({ maxBytes });
    const { maxPayloadBytes } = store.capabilities;
    const payload = `${"x".repeat(maxPayloadBytes - 2)}é`;
    await store.create(session("i".repeat(512), { userId: "ü".repeat(256), payload }));
    expect((await store.get("i".repeat(512)))?.payload).toBe(payload);
    await expect(store.create(session("b", { payload: `${payload}x` }))).rejects.toSatisfy((error) =>
      isSessionError(error, "PAYLOAD_TOO_LARGE"),
    );
    expect(await idsIn(store)).toEqual(["i".repeat(512)]);
  });
});

describe("onEvicted", () => {
  test("may be unsubscribed", async () => {
    const { store, evicted } = open({ maxSessions: 1 });
    const later: string[] = [];
    const unsubscribe = store.onEvicted(({ id }) => later.push(id));
    await store.create(session("a"));
    await store.create(session("b"));
    unsubscribe();
    await store.create(session("c"));
    expect(later).toEqual(["a"]);
    expect(evicted.map(({ id }) => id)).toEqual(["a", "b"]);
  });

  test.each([
    ["an error", new Error("no")],
    ["what has no text", Object.create(null)],
  ])("a listener that throws %s becomes a warning, and the session is created", async (_, thrown) => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const { store } = open({ maxSessions: 1 });
    store.onEvicted(() => {
      throw thrown;
    });
    await store.create(session("a"));
    expect((await store.create(session("b"))).status).toBe("created");
    expect(warn).toHaveBeenCalledWith(expect.stringContaining("@sojourn/memory"));
    warn.mockRestore();
  });

  test("a listener may call the store", async () => {
    const { store } = open({ maxSessions: 2 });
    const answers: Promise<unknown>[] = [];
    store.onEvicted(({ id }) => {
      if (id === "a") answers.push(store.create(session("from the listener")));
    });
    for (const id of ["a", "b", "c"]) expect((await store.create(session(id))).status).toBe("created");
    expect(await Promise.all(answers)).toMatchObject([{ status: "created" }]);
    expect(await idsIn(store)).toEqual(["c", "from the listener"]);
  });
});
