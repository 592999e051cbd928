import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionStore } from "@sojourn/core";
import { startMemcached } from "@sojourn/test-fixtures";
import { afterAll, expect, test, vi } from "vitest";
import { MemcachedStore } from "../src/index.js";
import { clientOf, openOn } from "./harness.js";

const server = await startMemcached();
afterAll(() => server.stop());

const hour = 3_600_000;
const lifetime = { payload: "x".repeat(100_000), idleMs: hour, absoluteMs: 24 * hour };

/** What becomes of a connection in the middle of an answer. */
type Cut = "closed" | "reset" | "late";

/** A way to the server that can end in the middle of an answer. */
class Relay {
  readonly #connections = new Set<net.Socket>();
  readonly #listener: net.Server;
  #cut: { readonly how: Cut; readonly afterBytes: number } | undefined;
  #heldBack: (() => void)[] = [];

  constructor() {
    this.#listener = net.createServer({ allowHalfOpen: true }, (near) => this.#relay(near));
  }

  async url(): Promise<string> {
    await new Promise<void>((resolve) => this.#listener.listen(0, "127.0.0.1", resolve));
    return `memcached://127.0.0.1:${(this.#listener.address() as net.AddressInfo).port}`;
  }

  get connections(): number {
    return this.#connections.size;
  }

  cutNextAnswer(how: Cut, afterBytes: number): void {
    this.#cut = { how, afterBytes };
  }

  /** Sends the rest of what was cut and held back. */
  release(): void {
    for (const send of this.#heldBack.splice(0)) send();
  }

  close(): void {
    for (const connection of this.#connections) connection.destroy();
    this.#listener.close();
  }

  #relay(near: net.Socket): void {
    this.#connections.add(near);
    const far = net.connect(server.port, "127.0.0.1");
    let how: Cut | undefined;
    near.on("data", (data) => far.write(data)).on("end", () => far.end());
    far.on("end", () => near.end());
    far.on("data", (data) => {
      if (how === undefined && this.#cut !== undefined && data.length > this.#cut.afterBytes) {
        const { afterBytes } = this.#cut;
        how = this.#cut.how;
        this.#cut = undefined;
        near.write(data.subarray(0, afterBytes));
        if (how === "closed") near.end();
        if (how === "reset") setTimeout(() => near.resetAndDestroy(), 10);
        if (how === "late") this.#heldBack.push(() => near.write(data.subarray(afterBytes)));
      } else if (how === undefined) near.write(data);
      else if (how === "late") this.#heldBack.push(() => near.write(data));
    });
    for (const socket of [near, far]) socket.on("error", () => {});
    near.on("close", () => {
      far.destroy();
      this.#connections.delete(near);
    });
  }
}

async function relayed(timeoutMs: number): Promise<{ relay: Relay; url: string; store: SessionStore }> {
  const relay = new Relay();
  const url = await relay.url();
  return { relay, url, store: MemcachedStore.fromUrl(url, { timeoutMs, namespace: url }) };
}

test.each<Cut>(["closed", "reset", "late"])(
  "a connection that is %s in the middle of an answer fails what is under way on it, and nothing after that",
  async (how) => {
    const { relay, store } = await relayed(2_000);
    await expect.poll(() => store.create({ id: "a", userId: "u", ...lifetime }).catch(() => undefined)).toBeDefined();
    relay.cutNextAnswer(how, 10_000);
    const cut = await Promise.allSettled([store.get("a"), store.listByUser("u")]);
    for (const result of cut) expect(result).toMatchObject({ status: "rejected", reason: { retryable: true } });
    const again = store.get("a");
    relay.release();
    expect((await again)?.payload).toBe(lifetime.payload);
    for (let round = 0; round < 5; round++) expect(await store.listByUser("u")).toHaveLength(1);
    await expect.poll(() => relay.connections).toBe(1);
    await store.close();
    relay.close();
  },
);

test("a connection that memjs has given up after its own timeout spoils no later answer", async () => {
  const { relay, url } = await relayed(10_000);
  const patient = await openOn(clientOf(server.url), { namespace: url });
  await patient.create({ id: "a", userId: "u", ...lifetime });
  const client = clientOf(url);
  for (const each of client.servers) Object.assign(Reflect.get(each, "options") as object, { timeout: 1 });
  const store = new MemcachedStore({ client, namespace: url, timeoutMs: 30_000 });
  await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
  relay.cutNextAnswer("late", 10_000);
  await expect(store.get("a")).rejects.toMatchObject({ code: "TIMEOUT" });
  const again = store.get("a");
  relay.release();
  expect((await again)?.payload).toBe(lifetime.payload);
  for (let round = 0; round < 5; round++) expect(await store.get("a")).toBeDefined();
  await patient.close();
  client.close();
  relay.close();
});

test("a store that is closed in the middle of an operation opens no connection any more", async () => {
  const { relay, store } = await relayed(10_000);
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
  await vi.waitFor(() => expect(relay.connections).toBe(0), { timeout: 20_000 });
  await sleep(50);
  expect(relay.connections).toBe(0);
  relay.close();
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
