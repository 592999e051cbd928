import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  startRedis,
  startRedisCluster,
  startTcpProxy,
  type TestCluster,
  type TestServer,
} from "@sojourn/test-fixtures";
import { Cluster, Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as Valkey } from "iovalkey";
import { createClient } from "redis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RedisClient } from "../src/client.js";
import { RedisStore } from "../src/index.js";
import { wrapClient } from "./wrapped-client.js";

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 600_000, absoluteMs: 600_000 });
const limit = { max: 1, whenReached: "evictOldest" } as const;
const timeoutMs = 500;

let server: TestServer;
let cluster: TestCluster;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(() => Promise.all([server.stop(), cluster.stop()]));

/** As applications make them, with the defaults of each library. */
const clients: Readonly<Record<string, (url: string) => RedisClient & { disconnect?(): void }>> = {
  "ioredis 6": (url) => quiet(new Redis(url)),
  "ioredis 5": (url) => quiet(new Redis5(url)),
  iovalkey: (url) => quiet(new Valkey(url)),
  "node-redis 6": (url) => quiet(createClient({ url })),
};

function quiet<Client extends { on(event: "error", listener: () => void): unknown }>(client: Client): Client {
  client.on("error", () => {});
  return client;
}

describe.each(Object.entries(clients))("a client of %s with its defaults", (name, make) => {
  function open(url: string): RedisStore {
    const client = make(url);
    const store = new RedisStore({ client, prefix: `once ${name}`, timeoutMs });
    closing.push(
      () => store.close(),
      () => client.disconnect?.(),
    );
    return store;
  }

  it("does not send a login again whose answer was lost, after a log-out everywhere", async () => {
    const proxy = await startTcpProxy(server.url);
    closing.push(() => proxy.stop());
    const store = open(proxy.url);
    const other = open(server.url);
    await store.create(session("warm"));
    await store.create(session("warm user", "w"));
    proxy.cutNextAnswer("reset", 0);
    const error = await store.create(session("lost", "u")).catch((cause: unknown) => cause);
    expect(error).toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: true });
    expect(await other.destroyByUser("u")).toEqual(["lost"]);
    // The client of the application reconnects meanwhile.
    expect((await store.get("warm"))?.id).toBe("warm");
    await delay(300);
    expect(await other.get("lost")).toBeUndefined();
  });

  it("does not run logins after an outage that were refused during it", async () => {
    const proxy = await startTcpProxy(server.url);
    closing.push(() => proxy.stop());
    const store = open(proxy.url);
    const other = open(server.url);
    await store.create(session("mine", "v"));
    proxy.freeze("all");
    proxy.cut("reset");
    await delay(50);
    const logins = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => store.create(session(`late ${n}`, "v"), { limit })),
    );
    for (const login of logins) {
      expect(login).toMatchObject({ status: "rejected", reason: { code: "UNAVAILABLE", outcomeUnknown: false } });
    }
    proxy.thaw();
    await expect.poll(() => store.get("mine").catch(() => undefined)).toBeDefined();
    await delay(200);
    expect((await other.listByUser("v")).map(({ id }) => id)).toEqual(["mine"]);
  });
});

it("a Cluster client with its defaults does not send a command again after a broken connection", async () => {
  const proxies = await Promise.all(cluster.nodes.map(({ url }) => startTcpProxy(url)));
  const natMap = Object.fromEntries(
    cluster.nodes.map(({ port }, n) => [`127.0.0.1:${port}`, { host: "127.0.0.1", port: proxies[n]?.port ?? 0 }]),
  );
  const client = quiet(new Cluster([...cluster.startupNodes], { natMap }));
  const store = new RedisStore({ client, prefix: "once", timeoutMs: 2_000 });
  closing.push(
    () => store.close(),
    () => client.disconnect(),
    ...proxies.map((proxy) => () => proxy.stop()),
  );
  const sessions = Array.from({ length: 20 }, (_, n) => session(`s${n}`));
  for (const each of sessions) await store.create(each);
  const versions = new Map(sessions.map(({ id }) => [id, 1]));
  for (const { id } of sessions) {
    for (const proxy of proxies) proxy.cutNextAnswer("reset", 0);
    const outcome = await store.update(id, { payload: "q" }).then(
      () => "answered",
      (error: unknown) => error,
    );
    // One proxy has cut its answer: the others are not to cut another one.
    for (const proxy of proxies) proxy.cutNextAnswer("reset", Number.MAX_SAFE_INTEGER);
    if (outcome !== "answered") expect(outcome).toMatchObject({ retryable: true });
    await expect.poll(async () => (await store.get(id).catch(() => undefined))?.version).toBeGreaterThan(0);
    versions.set(id, (await store.get(id))?.version ?? 0);
  }
  // Sent twice, an update counts twice.
  expect([...versions.values()].filter((version) => version > 2)).toEqual([]);
});

it("steps of a Cluster recognise their own first run", async () => {
  const client = quiet(new Cluster([...cluster.startupNodes], { retryDelayOnFailover: 0 }));
  const twice = wrapClient(client, async (command, send) => {
    if (command.startsWith("EVAL")) await send();
    return send();
  });
  const store = new RedisStore({ client: twice, duplicate: false, prefix: "twice", timeoutMs: 10_000 });
  closing.push(() => client.disconnect());
  expect(await store.create(session("a"))).toMatchObject({ status: "created" });
  expect(await store.create(session("b", "u"))).toMatchObject({ status: "created" });
  expect(await store.rename("a", "c", { userId: "u" })).toMatchObject({ status: "renamed" });
  expect(await store.rename("b", "d", { payload: "q" })).toMatchObject({ status: "renamed" });
  expect((await store.listByUser("u")).map(({ id }) => id).sort()).toEqual(["c", "d"]);
  expect(await Promise.all(["a", "b"].map((id) => store.get(id)))).toEqual([undefined, undefined]);
});

describe("a master that became a replica, behind one address", () => {
  it.each([
    ["a duplicated client", true],
    ["the client itself", false],
  ])("is left at the first READONLY, through %s", async (_name, duplicate) => {
    const [old, next] = await Promise.all([startRedis(), startRedis()]);
    const address = await startSwitch(old.port);
    const client = quiet(new Redis(address.port, "127.0.0.1", { autoResendUnfulfilledCommands: false }));
    const store = new RedisStore({ client, duplicate, prefix: "demoted", timeoutMs: 2_000 });
    closing.push(
      () => store.close(),
      () => client.disconnect(),
      () => address.stop(),
      () => Promise.all([old.stop(), next.stop()]),
    );
    await store.create(session("a"));
    const admin = new Redis(old.url);
    await admin.replicaof("127.0.0.1", next.port);
    admin.disconnect();
    address.lead(next.port);
    const refused = { code: "UNAVAILABLE", retryable: true, outcomeUnknown: false };
    await expect(store.create(session("b"))).rejects.toMatchObject(refused);
    await expect.poll(() => store.create(session("b")).catch(() => undefined)).toMatchObject({ status: "created" });
  });
});

/** An address that leads to another server from a moment on. Open connections stay where they are. */
async function startSwitch(port: number) {
  let target = port;
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    const upstream = connect(target, "127.0.0.1");
    for (const each of [socket, upstream]) {
      sockets.add(each);
      each.on("error", () => {});
      each.on("close", () => each === socket && upstream.destroy());
    }
    socket.pipe(upstream).pipe(socket);
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  return {
    // It listens on a port, not on a path.
    port: (listener.address() as AddressInfo).port,
    lead: (to: number) => {
      target = to;
    },
    stop: () => {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
