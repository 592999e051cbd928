import { setTimeout as sleep } from "node:timers/promises";
import type { SessionStore } from "@sojourn/core";
import { type Cut, startMemcached, startTcpProxy, type TcpProxy } from "@sojourn/test-fixtures";
import { afterAll, expect, test, vi } from "vitest";
import { MemcachedStore } from "../src/index.js";
import { clientOf, openOn } from "./harness.js";

const server = await startMemcached();
afterAll(() => server.stop());

const hour = 3_600_000;
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
  "a connection that is %s in the middle of an answer fails what is under way on it, and nothing after that",
  async (_, how) => {
    const { proxy, store } = await proxied(2_000);
    await expect.poll(() => store.create({ id: "a", userId: "u", ...lifetime }).catch(() => undefined)).toBeDefined();
    proxy.cutNextAnswer(how, 10_000);
    const cut = await Promise.allSettled([store.get("a"), store.listByUser("u")]);
    for (const result of cut) expect(result).toMatchObject({ status: "rejected", reason: { retryable: true } });
    const again = store.get("a");
    proxy.thaw();
    expect((await again)?.payload).toBe(lifetime.payload);
    for (let round = 0; round < 5; round++) expect(await store.listByUser("u")).toHaveLength(1);
    await expect.poll(() => proxy.connections).toBe(1);
    await store.close();
    await proxy.stop();
  },
);

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
