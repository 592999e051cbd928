import { startRedis, type TestServer } from "@sojourn/test-fixtures";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis5";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";
import { keyspace } from "../src/keys.js";
import { surviveKillUnderLoad } from "./load.js";

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 600_000, absoluteMs: 600_000 });

let server: TestServer;
const closing: (() => unknown)[] = [];
beforeAll(async () => {
  server = await startRedis();
});
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});
afterAll(() => server.stop());

describe.each([
  ["6", createClient],
  // Both are called alike, but their types differ too much for one call.
  ["5", createClient5 as unknown as typeof createClient],
])("a client of node-redis %s", (version, create) => {
  async function connected(options: Parameters<typeof createClient>[0] = {}): Promise<ReturnType<typeof createClient>> {
    const client = create({ url: server.url, socket: { reconnectStrategy: 50 }, ...options });
    client.on("error", () => {});
    await client.connect();
    closing.push(() => client.isOpen && client.destroy());
    return client;
  }

  it("stays open, with its listeners, and goes on answering texts to others", async () => {
    const client = await connected();
    const before = client.eventNames().map((name) => [name, client.listenerCount(name)]);
    const store = new RedisStore({ client, prefix: `borrowed ${version}` });
    const [created] = await Promise.all([store.create(session("a", "u")), client.set("mine", "text")]);
    expect(created.status).toBe("created");
    expect(await Promise.all([store.get("a"), client.get("mine")])).toMatchObject([{ id: "a", payload: "p" }, "text"]);
    await store.close();
    expect(await client.ping()).toBe("PONG");
    expect(client.eventNames().map((name) => [name, client.listenerCount(name)])).toEqual(before);
  });

  it.each([2, 3] as const)("may speak RESP %i", async (RESP) => {
    const store = new RedisStore({ client: await connected({ RESP }), prefix: `resp ${version} ${RESP}` });
    await store.create(session("a", "u"));
    expect(await store.update("a", { payload: "é\0" }, { expectedVersion: 1 })).toMatchObject({ status: "updated" });
    expect(await Promise.all(["a", "b"].map((id) => store.get(id)))).toMatchObject([{ payload: "é\0" }, undefined]);
    expect(await store.count()).toEqual({ sessions: 1, sessionsWithUser: 1, users: 1 });
    expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["a"]);
    const scanned = [];
    for await (const { id } of store.scan()) scanned.push(id);
    expect(scanned).toEqual(["a"]);
  });

  it("sends a script again to a server that has forgotten it", async () => {
    const client = await connected();
    const store = new RedisStore({ client, prefix: `scripts ${version}` });
    await store.create(session("a"));
    await client.sendCommand(["SCRIPT", "FLUSH"]);
    expect((await store.create(session("b"))).status).toBe("created");
  });

  it("answers every call in time and retryably while its server is killed under load, and serves again", async () => {
    const own = await startRedis();
    closing.push(() => own.stop());
    const store = new RedisStore({ client: await connected({ url: own.url }), prefix: "kill", timeoutMs: 1_000 });
    await surviveKillUnderLoad(own, store);
  });

  it("never sends what its caller was told had failed before there was a connection", async () => {
    const own = await startRedis();
    closing.push(() => own.stop());
    const client = await connected({ url: own.url });
    const patient = new RedisStore({ client, prefix: "offline", timeoutMs: 10_000 });
    const store = new RedisStore({ client, prefix: "offline", timeoutMs: 200 });
    await patient.create(session("a"));
    await own.kill();
    await expect.poll(() => client.isReady).toBe(false);
    const failed = await store.create(session("late")).catch((error: unknown) => error);
    expect(failed).toMatchObject({ code: "UNAVAILABLE", retryable: true, outcomeUnknown: false });
    await own.restart();
    await expect.poll(() => client.isReady).toBe(true);
    expect(await patient.get("late")).toBeUndefined();
  });

  it("loses no command of others by those that failed for want of a connection", async () => {
    const own = await startRedis();
    closing.push(() => own.stop());
    const client = await connected({ url: own.url });
    const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)]);
    const before = listeners();
    const store = new RedisStore({ client, prefix: "offline", timeoutMs: 100 });
    await own.kill();
    await expect.poll(() => client.isReady).toBe(false);
    for (let n = 0; n < 3; n += 1) {
      const failed = await Promise.allSettled([store.create(session("a")), store.create(session("b"))]);
      const refused = { status: "rejected", reason: { code: "UNAVAILABLE", outcomeUnknown: false } };
      expect(failed).toMatchObject([refused, refused]);
    }
    const foreign = client.set("mine", "text");
    await own.restart();
    expect(await foreign).toBe("OK");
    await expect.poll(listeners).toEqual(before);
  });

  it("waits for a connection that is on its way, and not for one that will not come", async () => {
    const client = create({ url: server.url });
    client.on("error", () => {});
    closing.push(() => client.isOpen && client.destroy());
    const store = new RedisStore({ client, prefix: `waits ${version}`, timeoutMs: 10_000 });
    const connecting = client.connect();
    expect(await store.get("a")).toBeUndefined();
    await connecting;
    const never = create({ url: "redis://127.0.0.1:1", socket: { reconnectStrategy: 50 } });
    never.on("error", () => {});
    const refused = new RedisStore({ client: never, prefix: `waits ${version}`, timeoutMs: 60_000 });
    never.connect().catch(() => {});
    const read = refused.get("a");
    setImmediate(() => never.destroy());
    await expect(read).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("is TIMEOUT with an unknown outcome while the server hangs, and the write may still arrive", async () => {
    const client = await connected();
    const patient = new RedisStore({ client, prefix: `hang ${version}`, timeoutMs: 10_000 });
    const store = new RedisStore({ client, prefix: `hang ${version}`, timeoutMs: 200 });
    await patient.create(session("a"));
    await patient.update("a", { payload: "early" });
    // It has its connection: without one nothing would be sent.
    await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
    server.pause();
    try {
      const error = await store.update("a", { payload: "late" }).catch((cause: unknown) => cause);
      expect(error).toMatchObject({ code: "TIMEOUT", outcomeUnknown: true, retryable: true });
      // The silent connection has been given up, and the server answers no new one.
      await expect(store.create(session("b"))).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    } finally {
      server.resume();
    }
    await expect.poll(async () => (await patient.get("a"))?.payload).toBe("late");
  });

  it("need not be connected: the store has a connection of its own", async () => {
    const store = new RedisStore({ client: create({ url: server.url }), prefix: `own ${version}`, timeoutMs: 10_000 });
    expect((await store.create(session("a"))).status).toBe("created");
    await store.close();
  });

  it("is UNAVAILABLE before it has connected, and once it is closed, when it is used as it is", async () => {
    const client = create({ url: server.url, disableOfflineQueue: true });
    const store = new RedisStore({ client, duplicate: false, prefix: `closed ${version}` });
    const refused = { code: "UNAVAILABLE", outcomeUnknown: false };
    await expect(store.create(session("a"))).rejects.toMatchObject(refused);
    await client.connect();
    expect((await store.create(session("a"))).status).toBe("created");
    await client.close();
    await expect(store.create(session("b"))).rejects.toMatchObject(refused);
  });

  it("tells what the server refuses: memory used up, another type, a missing permission", async () => {
    const full = await startRedis();
    closing.push(() => full.stop());
    const client = await connected({ url: full.url });
    const store = new RedisStore({ client, prefix: "refused" });
    await store.create(session("a", "u"));
    await client.set(`${keyspace("refused").sessionPrefix}b`, "no record");
    await client.hSet(`${keyspace("refused").sessionPrefix}c`, "field", "value");
    const reads = await Promise.allSettled(["a", "b", "c", "d"].map((id) => store.get(id)));
    expect(reads).toMatchObject([
      { status: "fulfilled", value: { id: "a" } },
      { status: "rejected", reason: { code: "CORRUPT" } },
      { status: "rejected", reason: { code: "CORRUPT" } },
      { status: "fulfilled", value: undefined },
    ]);
    await client.configSet("maxmemory", "1");
    await expect(store.create(session("e"))).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    await client.configSet("maxmemory", "0");
    await client.aclSetUser("reader", ["on", "nopass", "~*", "+@read"]);
    const reader = await connected({ url: full.url, username: "reader", password: "any" });
    const readOnly = new RedisStore({ client: reader, prefix: "refused" });
    await expect(readOnly.update("a", { payload: "q" })).rejects.toMatchObject({ code: "BACKEND" });
  });
});
