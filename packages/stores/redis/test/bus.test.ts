import type { BusMessage, SessionBus } from "@sojourn/core";
import type { BusState } from "@sojourn/core/adapter";
import { startRedis, startTcpProxy } from "@sojourn/test-fixtures";
import { describeBusConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { RedisBus, RedisStore } from "../src/index.js";

const server = await startRedis();
const proxy = await startTcpProxy(server.url);
afterAll(async () => {
  await proxy.stop();
  await server.stop();
});
const cut = async (): Promise<void> => proxy.cut("reset");
/** Patient: a busy machine is no outage. */
const timeoutMs = 20_000;

describeBusConformance(
  { name: "RedisBus", open: async (prefix) => RedisBus.fromUrl(proxy.url, { prefix, timeoutMs }), cut },
  { describe, test },
);

const nodeRedis = createClient({ url: proxy.url });
describeBusConformance(
  {
    name: "RedisBus on node-redis",
    open: async (prefix) => new RedisBus({ client: nodeRedis, prefix, timeoutMs }),
    cut,
  },
  { describe, test },
);

/** Subscribes, and waits until the bus is up. */
async function hear(bus: SessionBus): Promise<{ messages: BusMessage[]; states: BusState[] }> {
  const heard = { messages: [] as BusMessage[], states: [] as BusState[] };
  bus.subscribe({ message: (message) => heard.messages.push(message), state: (state) => heard.states.push(state) });
  await expect.poll(() => heard.states.at(-1)).toBe("up");
  onTestFinished(() => bus.close());
  return heard;
}

test("a connection that is silent is given up, and the bus comes up on a new one", async () => {
  const { states } = await hear(RedisBus.fromUrl(proxy.url, { prefix: "silent", timeoutMs: 300 }));
  proxy.freeze("open");
  await expect.poll(() => states.slice(0, 3)).toEqual(["up", "down", "up"]);
});

test("comes up by itself when the server was down at start", async () => {
  const late = await startRedis();
  await late.kill();
  const bus = RedisBus.fromUrl(late.url, { timeoutMs: 1_000 });
  onTestFinished(() => late.stop());
  bus.publish({ kind: "changed", id: "a" });
  await late.restart();
  const { messages } = await hear(bus);
  bus.publish({ kind: "changed", id: "b" });
  await expect.poll(() => messages.at(-1)).toEqual({ kind: "changed", id: "b" });
});

test("the store's scripts tell of each end and change, and of nothing else", async () => {
  const prefix = "told #1*";
  const { messages } = await hear(RedisBus.fromUrl(server.url, { prefix, timeoutMs }));
  const store = RedisStore.fromUrl(server.url, { prefix, timeoutMs, announce: true });
  const quiet = RedisStore.fromUrl(server.url, { prefix, timeoutMs });
  onTestFinished(async () => void (await Promise.all([store.close(), quiet.close()])));
  expect([store, quiet].map(({ capabilities }) => capabilities.announces)).toEqual([true, false]);
  const limit = { max: 1, whenReached: "evictOldest" } as const;
  const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 60_000, absoluteMs: 90_000 });
  const awkward = 'é"\\/😀\n';

  await store.create(session("a", "u"));
  await store.create(session("b", "u"), { limit });
  await store.update("b", { payload: "q" });
  await store.update("b", { idleMs: 1_000 });
  await store.update("b", {});
  await store.update("b", { payload: "q" }, { expectedVersion: 1 });
  await store.touch("b", { idleMs: 20_000 });
  await store.touch("b", { idleMs: 10_000, shorten: true });
  await store.destroy("absent");
  await store.rename("b", awkward, { payload: "r" });
  await store.destroy(awkward);
  await store.create(session("c", "u"));
  await quiet.update("c", { payload: "q" });
  await store.destroyByUser("u");
  await store.create(session("d"));
  await store.clear();
  await expect.poll(() => messages.at(-1)).toEqual({ kind: "cleared" });
  expect(messages).toEqual([
    { kind: "ended", ids: ["a"] },
    { kind: "changed", id: "b", version: 2 },
    { kind: "changed", id: "b" },
    { kind: "changed", id: "b" },
    { kind: "renamed", id: "b", newId: awkward },
    { kind: "ended", ids: [awkward] },
    { kind: "ended", ids: ["c"] },
    { kind: "cleared" },
  ]);
});

test.each([
  [{ prefix: "" }, 'option "prefix" must be'],
  [{ timeoutMs: 0 }, 'option "timeoutMs" must be'],
  [{ chanel: "x" }, 'unknown option "chanel"'],
])("refuses %j", (options, message) => {
  const client = new Redis({ lazyConnect: true });
  expect(() => new RedisBus({ client, ...options })).toThrow(message);
});

test("a client that is closed at once leaves no timer and no unhandled rejection", async () => {
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  onTestFinished(() => void process.off("unhandledRejection", unhandled));
  await RedisBus.fromUrl(server.url).close();
  await RedisBus.fromUrl("redis://127.0.0.1:1").close();
  expect(unhandled).not.toHaveBeenCalled();
});
