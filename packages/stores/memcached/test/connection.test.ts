import { setTimeout as sleep } from "node:timers/promises";
import { SessionManager, type SessionStore } from "@sojourn/core";
import { type Cut, startMemcached, startTcpProxy, type TcpProxy } from "@sojourn/test-fixtures";
import type memjs from "memjs";
import { afterAll, describe, expect, test, vi } from "vitest";
import { MemcachedStore } from "../src/index.js";
import { clientOf, openOn } from "./harness.js";

const server = await startMemcached();
afterAll(() => server.stop());

const hour = 3_600_000;
/** Well-formed, and of no session. */
const token = "A".repeat(43);
const lifetime = { payload: "x".repeat(100_000), idleMs: hour, absoluteMs: 24 * hour };

async function proxied(timeoutMs: number): Promise<{ proxy: TcpProxy; url: string; store: SessionStore }> {
  const proxy = await startTcpProxy(server.url);
  const { url } = proxy;
  return { proxy, url, store: MemcachedStore.fromUrl(url, { timeoutMs, namespace: url }) };
}

test.each<[string, Cut | "freeze"]>([
  ["closed", "close"],
  ["reset", "reset"],
  ["late", "freeze"],
])(
  "a connection that is %s in the middle of an answer fails the requests on it, and none after that",
  async (_, how) => {
    const { proxy, store } = await proxied(2_000);
    await expect.poll(() => store.create({ id: "a", userId: "u", ...lifetime }).catch(() => undefined)).toBeDefined();
    proxy.cutNextAnswer(how, 10_000);
    const startedAt = performance.now();
    const cut = await Promise.allSettled([store.get("a"), store.listByUser("u")]);
    for (const result of cut) expect(result).toMatchObject({ status: "rejected", reason: { retryable: true } });
    const code = how === "freeze" ? "TIMEOUT" : "UNAVAILABLE";
    expect(cut).toMatchObject([{ reason: { code, outcomeUnknown: false } }, { reason: { outcomeUnknown: false } }]);
    // At once, where the end of the connection is known.
    if (how !== "freeze") expect(performance.now() - startedAt).toBeLessThan(1_000);
    const again = store.get("a");
    proxy.thaw();
    expect((await again)?.payload).toBe(lifetime.payload);
    for (let round = 0; round < 5; round++) expect(await store.listByUser("u")).toHaveLength(1);
    await expect.poll(() => proxy.connections).toBe(1);
    await store.close();
    await proxy.stop();
  },
);

test("a read that meets a connection closed while idle is sent once more", async () => {
  const { proxy, store } = await proxied(2_000);
  await expect.poll(() => store.create({ id: "a", userId: "u", ...lifetime }).catch(() => undefined)).toBeDefined();
  proxy.cut("reset");
  expect(await Promise.all([store.get("a"), store.get("b")])).toMatchObject([{ id: "a" }, undefined]);
  proxy.cut("reset");
  expect(await store.update("a", { payload: "q" })).toMatchObject({ status: "updated" });
  proxy.cut("reset");
  expect(await store.listByUser("u")).toMatchObject([{ payload: "q" }]);
  await store.close();
  await proxy.stop();
});

test("a write that meets a connection closed while idle is not sent again, and says that its outcome is unknown", async () => {
  const { proxy, store } = await proxied(2_000);
  await expect.poll(() => store.create({ id: "a", ...lifetime }).catch(() => undefined)).toBeDefined();
  proxy.cut("reset");
  await expect(store.clear()).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: true });
  expect(await store.get("a")).toBeDefined();
  await store.close();
  await proxy.stop();
});

test.each(["a client of the store", "a patient client of the application"])(
  "a connection that drops packets without a word, of %s, is replaced within twice the timeout",
  async (name) => {
    const timeoutMs = 500;
    const { proxy, url, store: own } = await proxied(timeoutMs);
    const client = clientOf(url);
    const isOwn = name === "a client of the store";
    const store = isOwn ? own : new MemcachedStore({ client, timeoutMs, namespace: url });
    await expect.poll(() => store.create({ id: "a", userId: "u", ...lifetime }).catch(() => undefined)).toBeDefined();
    proxy.freeze();
    const startedAt = performance.now();
    let failed = 0;
    while ((await store.get("a").catch(() => undefined)) === undefined) failed++;
    const seconds = (performance.now() - startedAt) / 1_000;
    console.log(`silent drop, ${name}: answers after ${seconds.toFixed(2)} s, ${failed} calls failed`);
    expect(seconds).toBeLessThan((2 * timeoutMs) / 1_000);
    expect(await store.update("a", { payload: "q" })).toMatchObject({ status: "updated" });
    await own.close();
    await store.close();
    client.close();
    await proxy.stop();
  },
);

describe("a client that lends no connection", () => {
  /** Holds the requests that wait for the connection of each server, until they are released. */
  function withhold(client: memjs.Client): () => void {
    const held: (() => void)[] = [];
    let isHolding = true;
    for (const each of client.servers) {
      const sock = each.sock.bind(each);
      Object.assign(each, { connected: false });
      each.sock = (isLogin, go) => (isHolding ? void held.push(() => sock(isLogin, go)) : sock(isLogin, go));
    }
    return () => {
      isHolding = false;
      for (const each of client.servers) Object.assign(each, { connected: true });
      for (const pass of held) pass();
    };
  }

  test("makes every call UNAVAILABLE, and sends none of them later", async () => {
    const client = clientOf(server.url);
    const namespace = "withheld";
    const witness = await openOn(clientOf(server.url), { namespace });
    await witness.create({ id: "a", userId: "u", ...lifetime, payload: "p" });
    const store = new MemcachedStore({ client, namespace, timeoutMs: 500 });
    await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
    const release = withhold(client);
    const sessions = new SessionManager({ store, idleTimeout: "30m", absoluteTimeout: "12h", touchAfter: 0 });
    const calls: Promise<unknown>[] = [
      store.get("a"),
      store.get("b"),
      store.create({ id: "late", userId: "u", ...lifetime }),
      store.update("a", { payload: "late" }),
      store.update("a", { payload: "later" }),
      store.destroy("a"),
      sessions.create({ userId: "u", data: {} }),
      sessions.get(token),
      sessions.destroy(token),
    ];
    const outcomes = await Promise.allSettled(calls);
    const refused = { status: "rejected", reason: { code: "UNAVAILABLE", outcomeUnknown: false, retryable: true } };
    expect(outcomes).toMatchObject(calls.map(() => refused));
    release();
    await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
    expect(await witness.listByUser("u")).toMatchObject([{ id: "a", payload: "p", version: 1 }]);
    await witness.close();
    client.close();
  });

  test("makes a write UNAVAILABLE that waits behind a hanging one", async () => {
    const hung = await startMemcached();
    const store = MemcachedStore.fromUrl(hung.url, { timeoutMs: 300 });
    await expect.poll(() => store.create({ id: "a", ...lifetime }).catch(() => undefined)).toBeDefined();
    hung.pause();
    const [first, second] = await Promise.allSettled([store.update("a", { payload: "1" }), store.destroy("a")]);
    expect(first).toMatchObject({ reason: { code: "TIMEOUT", outcomeUnknown: true } });
    expect(second).toMatchObject({ reason: { code: "UNAVAILABLE", outcomeUnknown: false } });
    hung.resume();
    await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
    await store.close();
    await hung.stop();
  });
});

test("a connection that memjs has given up after its own timeout spoils no later answer", async () => {
  const { proxy, url } = await proxied(10_000);
  const patient = await openOn(clientOf(server.url), { namespace: url });
  await patient.create({ id: "a", userId: "u", ...lifetime });
  const client = clientOf(url);
  for (const each of client.servers) Object.assign(Reflect.get(each, "options") as object, { timeout: 1 });
  const store = new MemcachedStore({ client, namespace: url, timeoutMs: 30_000 });
  await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
  proxy.cutNextAnswer("freeze", 10_000);
  await expect(store.get("a")).rejects.toMatchObject({ code: "TIMEOUT" });
  const again = store.get("a");
  proxy.thaw();
  expect((await again)?.payload).toBe(lifetime.payload);
  for (let round = 0; round < 5; round++) expect(await store.get("a")).toBeDefined();
  await patient.close();
  client.close();
  await proxy.stop();
});

test("a store that is closed in the middle of an operation opens no connection any more", async () => {
  const { proxy, store } = await proxied(10_000);
  await store.get("first");
  const operations = [
    store.create({ id: "a", userId: "u", ...lifetime }),
    store.destroyByUser("u"),
    store.rename("a", "b"),
  ];
  await store.close();
  for (const { reason } of (await Promise.allSettled(operations)) as PromiseRejectedResult[]) {
    if (reason !== undefined) expect(["CLOSED", "UNAVAILABLE"]).toContain(reason.code);
  }
  await vi.waitFor(() => expect(proxy.connections).toBe(0), { timeout: 20_000 });
  await sleep(50);
  expect(proxy.connections).toBe(0);
  await proxy.stop();
});

test("a store that is closed while its server hangs keeps no process alive", async () => {
  const hung = await startMemcached();
  const alive = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
  // Those by which the server was asked whether it is ready.
  await vi.waitFor(() => expect(alive()).toBe(0), { timeout: 20_000 });
  const store = MemcachedStore.fromUrl(hung.url, { timeoutMs: 10_000 });
  await store.get("a");
  expect(alive()).toBe(1);
  hung.pause();
  await store.close();
  expect(alive()).toBe(0);
  hung.resume();
  await hung.stop();
});
