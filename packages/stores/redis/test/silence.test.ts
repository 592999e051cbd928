import { setTimeout as delay } from "node:timers/promises";
import type { SessionStore } from "@sojourn/core";
import {
  startFilteredProxy,
  startRedis,
  startRedisCluster,
  startTcpProxy,
  type TcpProxy,
  type TestServer,
  whyNoPacketFilter,
} from "@sojourn/test-fixtures";
import { Cluster, Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as Valkey } from "iovalkey";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis5";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 600_000, absoluteMs: 600_000 });
const timeoutMs = 1_000;

let server: TestServer;
let proxy: TcpProxy;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  server = await startRedis();
  proxy = await startTcpProxy(server.url);
});
afterEach(async () => {
  proxy.thaw();
  await Promise.all(closing.splice(0).map((close) => close()));
});
afterAll(async () => {
  await proxy.stop();
  await server.stop();
});

const clients = {
  "ioredis 6": (url: string) => new Redis(url, { lazyConnect: true }),
  "ioredis 5": (url: string) => new Redis5(url, { lazyConnect: true }),
  iovalkey: (url: string) => new Valkey(url, { lazyConnect: true }),
  "node-redis 6": (url: string) => createClient({ url }),
  // Both are called alike, but their types differ too much for one call.
  "node-redis 5": (url: string) => createClient5({ url }) as unknown as ReturnType<typeof createClient>,
};
const openers: Readonly<Record<string, (url: string) => RedisStore>> = {
  "from a URL": (url) => RedisStore.fromUrl(url, { prefix: "silence", timeoutMs }),
  ...Object.fromEntries(
    Object.entries(clients).map(([name, connect]) => [
      `through ${name}`,
      (url: string) => new RedisStore({ client: connect(url), prefix: "silence", timeoutMs }),
    ]),
  ),
  "through ioredis itself": (url) => {
    const client = new Redis(url, { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 });
    client.on("error", () => {});
    closing.push(() => client.disconnect());
    return new RedisStore({ client, duplicate: false, prefix: "silence", timeoutMs });
  },
};

function open(opener: (url: string) => RedisStore, url = proxy.url): RedisStore {
  const store = opener(url);
  closing.push(() => store.close());
  return store;
}

/** Calls one operation after the other until one is answered. */
async function untilAnswered(store: SessionStore): Promise<{ failed: number; recoveredAfterMs: number }> {
  const beganAt = performance.now();
  for (let failed = 0; ; failed++) {
    try {
      await store.get("a");
      return { failed, recoveredAfterMs: Math.round(performance.now() - beganAt) };
    } catch (error) {
      expect(error).toMatchObject({ retryable: true });
      if (performance.now() - beganAt > 20 * timeoutMs) throw error;
      await delay(10);
    }
  }
}

describe.each(Object.entries(openers))("a store %s", (name, opener) => {
  it("recovers within twice the timeout from a connection that drops its packets", async () => {
    const store = open(opener);
    await store.create(session("a"));
    proxy.freeze();
    const { failed, recoveredAfterMs } = await untilAnswered(store);
    console.log(`${name}: first answer ${recoveredAfterMs} ms after the silence began, ${failed} calls failed`);
    expect(recoveredAfterMs).toBeLessThan(2 * timeoutMs);
  });

  it("recovers within twice the timeout from the moment that new connections pass again", async () => {
    const store = open(opener);
    await store.create(session("a"));
    proxy.freeze("all");
    for (let n = 0; n < 3; n++) {
      const error = await store.create(session(`late ${n}`)).catch((cause: unknown) => cause);
      expect(error).toMatchObject({ retryable: true, outcomeUnknown: n === 0 });
    }
    proxy.cut("reset");
    proxy.thaw();
    const { recoveredAfterMs } = await untilAnswered(store);
    expect(recoveredAfterMs).toBeLessThan(2 * timeoutMs);
    for (let n = 1; n < 3; n++) expect(await store.get(`late ${n}`), "nothing was sent").toBeUndefined();
  });

  it("answers UNAVAILABLE at once when the connection breaks under commands in flight", async () => {
    const own = await startTcpProxy(server.url);
    closing.push(() => own.stop());
    const store = open(opener, own.url);
    await store.create(session("a"));
    own.freeze();
    const beganAt = performance.now();
    const calls = Promise.allSettled([store.get("a"), store.get("b"), store.touch("a", { idleMs: 60_000 })]);
    await delay(50);
    await own.stop();
    for (const call of await calls) {
      expect(call).toMatchObject({ status: "rejected", reason: { code: "UNAVAILABLE", retryable: true } });
    }
    expect(performance.now() - beganAt).toBeLessThan(timeoutMs / 2);
  });

  it("sends a read once more that meets a connection which was closed while idle", async () => {
    const store = open(opener);
    await store.create(session("a"));
    proxy.cut("reset");
    expect((await store.get("a"))?.id).toBe("a");
    proxy.cut("close");
    expect(await Promise.all([store.get("a"), store.get("none")])).toMatchObject([{ id: "a" }, undefined]);
  });

  it("opens no more than one connection at a time", async () => {
    const store = open(opener);
    await store.create(session("a"));
    const before = proxy.counts.accepted;
    proxy.cut("close");
    await delay(50);
    await Promise.all(Array.from({ length: 50 }, (_, n) => store.create(session(`s${n}`))));
    expect(proxy.counts.accepted - before).toBe(1);
  });
});

const noFilter = whyNoPacketFilter();
it.skipIf(noFilter !== undefined)(
  `recovers when a packet filter drops its packets${noFilter ? `: ${noFilter}` : ""}`,
  async () => {
    const network = await startFilteredProxy(server.url);
    closing.push(() => network.stop());
    for (const opener of [openers["from a URL"], openers["through node-redis 6"]]) {
      if (opener === undefined) throw new Error("an opener is missing");
      const store = open(opener, network.url);
      await store.create(session("a"));
      await network.dropPackets();
      const { failed, recoveredAfterMs } = await untilAnswered(store);
      console.log(`packets dropped: first answer after ${recoveredAfterMs} ms, ${failed} calls failed`);
      expect(recoveredAfterMs).toBeLessThan(2 * timeoutMs);
    }
  },
);

it("a Cluster recovers within twice the timeout, node by node", async () => {
  const cluster = await startRedisCluster();
  const proxies = await Promise.all(cluster.nodes.map(({ url }) => startTcpProxy(url)));
  const natMap = Object.fromEntries(
    cluster.nodes.map(({ port }, n) => [`127.0.0.1:${port}`, { host: "127.0.0.1", port: proxies[n]?.port ?? 0 }]),
  );
  const client = new Cluster([...cluster.startupNodes], { natMap, lazyConnect: true });
  const store = new RedisStore({ client, prefix: "silence", timeoutMs });
  closing.push(
    () => store.close(),
    ...proxies.map((each) => () => each.stop()),
    () => cluster.stop(),
  );
  const ids = Array.from({ length: 30 }, (_, n) => `s${n}`);
  await Promise.all(ids.map((id) => store.create(session(id, "u"))));
  for (const silent of [proxies.slice(0, 1), proxies]) {
    for (const each of silent) each.freeze();
    const beganAt = performance.now();
    const recovered = await Promise.all(
      ids.map(async (id) => {
        for (;;) {
          if ((await store.get(id).catch(() => undefined)) !== undefined) return performance.now() - beganAt;
          await delay(10);
        }
      }),
    );
    const unharmed = recovered.filter((ms) => ms < timeoutMs / 2).length;
    console.log(
      `${silent.length} silent: the last answer after ${Math.round(Math.max(...recovered))} ms, ${unharmed} at once`,
    );
    expect(Math.max(...recovered)).toBeLessThan(2 * timeoutMs);
    // One silent node takes no session of another down.
    if (silent.length === 1) expect(unharmed).toBeGreaterThan(14);
  }
});
