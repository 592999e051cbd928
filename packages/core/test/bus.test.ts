import { describeBusConformance, ModelBackend, ModelStore } from "@sojourn/testkit";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  announceWrites,
  type BusMessage,
  decodeBusMessage,
  encodeBusMessage,
  isGuarded,
  SessionError,
  WaitingMessages,
} from "../src/adapter/index.js";
import { MemoryBus } from "../src/index.js";
import { overriding } from "./support.js";

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 60_000, absoluteMs: 60_000 });

describe("announceWrites", () => {
  function setUp() {
    const bus = new MemoryBus();
    const told: BusMessage[] = [];
    bus.subscribe({ message: (message) => told.push(message), state: () => {} });
    const inner = new ModelStore(new ModelBackend());
    const store = announceWrites(inner, bus);
    return { bus, inner, store, told: (): BusMessage[] => told.splice(0) };
  }

  test("tells of each end and change, and of nothing else", async () => {
    const { store, told } = setUp();
    const limit = { max: 1, whenReached: "evictOldest" } as const;
    await store.create(session("a", "u"));
    expect(told()).toEqual([]);
    await store.create(session("b", "u"), { limit });
    expect(told()).toEqual([{ kind: "ended", ids: ["a"] }]);
    await store.update("b", { payload: "q" });
    expect(told()).toEqual([{ kind: "changed", id: "b", version: 2 }]);
    await store.update("b", { idleMs: 1_000 });
    expect(told()).toEqual([{ kind: "changed", id: "b" }]);
    await store.update("b", {});
    await store.update("b", { payload: "q" }, { expectedVersion: 1 });
    await store.touch("b", { idleMs: 2_000 });
    await store.touch("absent", { idleMs: 2_000, shorten: true });
    await store.destroy("absent");
    await store.get("b");
    expect(told()).toEqual([]);
    await store.touch("b", { idleMs: 1_000, shorten: true });
    expect(told()).toEqual([{ kind: "changed", id: "b" }]);
    await store.create(session("c"));
    await store.update("c", { userId: "u" }, { limit });
    expect(told()).toEqual([
      { kind: "ended", ids: ["b"] },
      { kind: "changed", id: "c", version: 2 },
    ]);
    await store.create(session("d"));
    await store.rename("d", "e", { userId: "u" }, { limit });
    expect(told()).toEqual([
      { kind: "ended", ids: ["c"] },
      { kind: "renamed", id: "d", newId: "e" },
    ]);
    await store.destroy("e");
    expect(told()).toEqual([{ kind: "ended", ids: ["e"] }]);
    await store.create(session("f", "u"));
    await store.destroyByUser("u");
    await store.destroyByUser("u");
    expect(told()).toEqual([{ kind: "ended", ids: ["f"] }]);
    await store.clear();
    expect(told()).toEqual([{ kind: "cleared" }]);
  });

  test("tells of a write whose outcome is unknown, and of no failure that is known", async () => {
    const { bus, inner, told } = setUp();
    let outcomeUnknown = true;
    const failing = overriding(inner, () => () => Promise.reject(new SessionError("BACKEND", "", { outcomeUnknown })));
    const store = announceWrites(failing, bus);
    const writes = [
      () => store.update("a", { payload: "q" }),
      () => store.touch("a", { idleMs: 1, shorten: true }),
      () => store.rename("a", "b"),
      () => store.destroy("a"),
      () => store.destroyByUser("u"),
    ];
    for (const write of writes) await expect(write()).rejects.toMatchObject({ outcomeUnknown });
    expect(told()).toEqual([...["a", "a", "a", "b", "a"].map((id) => ({ kind: "changed", id })), { kind: "cleared" }]);
    outcomeUnknown = false;
    for (const write of writes) await expect(write()).rejects.toMatchObject({ outcomeUnknown });
    expect(told()).toEqual([]);
  });

  test("guards a foreign store once, and leaves a store that announces by itself as it is", () => {
    const { bus, store } = setUp();
    expect(isGuarded(store)).toBe(true);
    expect(store.capabilities.announces).toBe(true);
    expect(announceWrites(store, bus)).toBe(store);
  });
});

const buses = new Map<string, MemoryBus>();
describeBusConformance(
  {
    name: "MemoryBus",
    async open(channel) {
      const bus = buses.get(channel) ?? new MemoryBus();
      buses.set(channel, bus);
      return bus;
    },
  },
  { describe, test },
);

describe("MemoryBus", () => {
  test("has told all subscribers when publish returns; one that throws costs the others nothing", async () => {
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    const bus = new MemoryBus();
    const heard: unknown[] = [];
    bus.subscribe({
      message: () => {
        throw new Error("broken");
      },
      state: () => {},
    });
    const listener = { message: (message: BusMessage) => heard.push(message), state: (to: string) => heard.push(to) };
    const unsubscribe = bus.subscribe(listener);
    bus.publish({ kind: "ended", ids: ["a"] });
    expect(heard).toEqual(["up", { kind: "ended", ids: ["a"] }]);
    expect(warned).toHaveBeenCalledOnce();
    bus.subscribe(listener);
    unsubscribe();
    await bus.close();
    await bus.close();
    bus.publish({ kind: "cleared" });
    expect(heard).toEqual(["up", { kind: "ended", ids: ["a"] }, "up", "down"]);
  });
});

describe("the text of messages", () => {
  test("keeps every message, and splits many ids", () => {
    const awkward = ['"\\\n', "é😀", "x".repeat(512)];
    const messages: BusMessage[] = [
      { kind: "ended", ids: awkward },
      { kind: "changed", id: awkward[0] ?? "", version: 3 },
      { kind: "changed", id: "a" },
      { kind: "renamed", id: "a", newId: "é😀" },
      { kind: "cleared" },
    ];
    for (const message of messages) expect(encodeBusMessage(message).map(decodeBusMessage)).toEqual([message]);
    const ids = Array.from({ length: 1_000 }, (_, n) => String(n).padStart(43, "x"));
    const texts = encodeBusMessage({ kind: "ended", ids });
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThan(8_000);
    expect(texts.map(decodeBusMessage).flatMap((message) => (message.kind === "ended" ? message.ids : []))).toEqual(
      ids,
    );
  });

  test.each(["", "no JSON", "null", "[]", '{"kind":"later"}', '{"kind":"ended"}', '{"kind":"changed","id":1}'])(
    "%j, which this release does not know, may concern every session",
    (text) => expect(decodeBusMessage(text)).toEqual({ kind: "cleared" }),
  );

  test("more messages than may wait become one that concerns every session", () => {
    const waiting = new WaitingMessages();
    for (let n = 0; n < 1_000; n++) waiting.add({ kind: "changed", id: String(n) });
    expect(waiting.take()).toHaveLength(1_000);
    expect(waiting.take()).toEqual([]);
    for (let n = 0; n < 1_001; n++) waiting.add({ kind: "changed", id: String(n) });
    expect(waiting.take()).toEqual([{ kind: "cleared" }]);
  });
});
