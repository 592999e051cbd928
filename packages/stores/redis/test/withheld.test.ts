import { setTimeout as delay } from "node:timers/promises";
import { SessionManager } from "@sojourn/core";
import { startRedis, startTcpProxy, type TcpProxy, type TestServer } from "@sojourn/test-fixtures";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 600_000, absoluteMs: 600_000 });
const timeoutMs = 300;
const notSent = { code: "UNAVAILABLE", retryable: true, outcomeUnknown: false };

let server: TestServer;
let proxy: TcpProxy;
let store: RedisStore;
let admin: Redis;
beforeAll(async () => {
  server = await startRedis();
  admin = new Redis(server.url);
});
beforeEach(async () => {
  await admin.flushall();
  proxy = await startTcpProxy(server.url);
  // Every connection is accepted, and none is ever ready.
  proxy.freeze("all");
  store = RedisStore.fromUrl(proxy.url, { prefix: "withheld", timeoutMs });
});
afterEach(async () => {
  await store.close();
  await proxy.stop();
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

/** Lets connections pass, waits until the store serves, and returns the number of keys on the server. */
async function keysAfterwards(): Promise<number> {
  proxy.thaw();
  await expect.poll(() => store.get("none").then(() => "served", String)).toBe("served");
  await delay(50);
  return admin.dbsize();
}

describe("a connection that is never ready", () => {
  it.each<[string, () => Promise<unknown>]>([
    ["get", () => store.get("a")],
    ["create", () => store.create(session("a", "u"))],
    ["update", () => store.update("a", { payload: "q" })],
    ["touch", () => store.touch("a", { idleMs: 1_000 })],
    ["rename", () => store.rename("a", "b")],
    ["destroy", () => store.destroy("a")],
    ["listByUser", () => store.listByUser("u")],
    ["destroyByUser", () => store.destroyByUser("u")],
    ["count", () => store.count()],
    ["clear", () => store.clear()],
    ["a step of scan", () => store.scan()[Symbol.asyncIterator]().next()],
  ])("%s is UNAVAILABLE with a known outcome, and is not run later", async (_name, call) => {
    await expect(call()).rejects.toMatchObject(notSent);
    expect(await keysAfterwards()).toBe(0);
  });

  it("is UNAVAILABLE with a known outcome through a manager", async () => {
    const patient = RedisStore.fromUrl(server.url, { prefix: "withheld", timeoutMs: 10_000 });
    const { token } = await new SessionManager({ store: patient, sweep: false }).create({ data: { n: 1 } });
    const manager = new SessionManager<{ n: number }>({ store, timeoutMs, sweep: false });
    await expect(manager.get(token)).rejects.toMatchObject(notSent);
    await expect(manager.create({ data: { n: 2 } })).rejects.toMatchObject(notSent);
    await expect(manager.update(token, ({ n }) => ({ n: n + 1 }))).rejects.toMatchObject(notSent);
    expect(await keysAfterwards()).toBe(1);
    await patient.close();
  });

  it("answers a write that waited behind another of its session, and the members of a batch", async () => {
    const calls = await Promise.allSettled([
      store.create(session("a", "u")),
      store.update("a", { payload: "q" }),
      ...["b", "c", "d"].map((id) => store.get(id)),
    ]);
    for (const call of calls) expect(call).toMatchObject({ status: "rejected", reason: notSent });
    expect(await keysAfterwards()).toBe(0);
  });
});

it("a write behind one that hangs was not sent, and is not run later", async () => {
  proxy.thaw();
  await store.create(session("a"));
  proxy.freeze();
  const [hanging, waiting] = await Promise.allSettled([
    store.update("a", { payload: "first" }),
    store.update("a", { payload: "second" }),
  ]);
  expect(hanging).toMatchObject({ status: "rejected", reason: { code: "TIMEOUT", outcomeUnknown: true } });
  expect(waiting).toMatchObject({ status: "rejected", reason: notSent });
  await keysAfterwards();
  expect((await store.get("a"))?.payload).not.toBe("second");
});
