import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { isSessionError } from "@sojourn/core";
import { startRedis, type TestServer } from "@sojourn/test-fixtures";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";
import { keyspace } from "../src/keys.js";
import { surviveKillUnderLoad } from "./load.js";

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 600_000, absoluteMs: 600_000 });

let server: TestServer;
const closing: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  server = await startRedis();
});
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});
afterAll(() => server.stop());

/** A store that is patient, unless told otherwise: a busy machine is no outage. */
function open(url = server.url, options: { prefix?: string; timeoutMs?: number } = {}): RedisStore {
  const store = RedisStore.fromUrl(url, { timeoutMs: 10_000, ...options });
  closing.push(() => store.close());
  return store;
}

describe("a server that is killed under load and started again", () => {
  it("answers every call in time, retryably, and serves again by itself", async () => {
    const store = open(server.url, { prefix: "kill", timeoutMs: 1_000 });
    await surviveKillUnderLoad(server, store);
  });

  it("is TIMEOUT with an unknown outcome while the server hangs, and the write may still arrive", async () => {
    const patient = open(server.url, { prefix: "hang", timeoutMs: 10_000 });
    await patient.create(session("a"));
    // The server knows the script: a call that had to send it again would end with its timeout, and write nothing.
    await patient.update("a", { payload: "early" });
    const store = open(server.url, { prefix: "hang", timeoutMs: 200 });
    // It has its connection: without one nothing would be sent.
    await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
    server.pause();
    try {
      const error: unknown = await store.update("a", { payload: "late" }).catch((cause) => cause);
      expect(isSessionError(error, "TIMEOUT") && error.outcomeUnknown && error.retryable).toBe(true);
      // The silent connection has been given up, and the server answers no new one.
      await expect(store.create(session("b"))).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    } finally {
      server.resume();
    }
    await expect.poll(async () => (await patient.get("a").catch(() => undefined))?.payload).toBe("late");
  });
});

describe("a store from a URL", () => {
  it("is UNAVAILABLE while the server is not there yet, and connects when it is", async () => {
    const late = await startRedis();
    closing.push(() => late.stop());
    await late.kill();
    const store = open(late.url);
    await expect(store.get("a")).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
    const error: unknown = await store.create(session("a")).catch((cause) => cause);
    expect(isSessionError(error, "UNAVAILABLE")).toBe(true);
    await late.restart();
    await expect.poll(() => store.create(session("a")).catch(() => undefined)).toBeDefined();
  });

  it("does not work with a wrong password, says so in time, and shows no password", async () => {
    const locked = await startRedis({ args: ["--requirepass", "right"], password: "right" });
    closing.push(() => locked.stop());
    const store = open(locked.url.replace("right", "wr0ng"));
    const error: unknown = await store.get("a").catch((cause) => cause);
    expect(isSessionError(error) && ["BACKEND", "UNAVAILABLE"].includes(error.code)).toBe(true);
    expect(String(error)).not.toContain("wr0ng");
    expect((await open(locked.url).create(session("a"))).status).toBe("created");
  });

  it("closes its client, idempotently, and then rejects CLOSED", async () => {
    const store = open();
    await store.create(session("closing"));
    await Promise.all([store.close(), store.close()]);
    await expect(store.get("closing")).rejects.toMatchObject({ code: "CLOSED" });
    await expect(store.scan()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "CLOSED" });
  });

  it.each(["", "localhost", "http://localhost", "redis//x"])("refuses %j as a URL", (url) => {
    expect(() => RedisStore.fromUrl(url)).toThrow(expect.objectContaining({ code: "INVALID_OPTION" }));
  });
});

describe("a client that is borrowed", () => {
  it("stays open, with the listeners that it had", async () => {
    const client = new Redis(server.url);
    closing.push(async () => client.disconnect());
    await once(client, "ready");
    const before = client.eventNames().map((name) => [name, client.listenerCount(name)]);
    const store = new RedisStore({ client, timeoutMs: 10_000 });
    await store.create(session("borrowed"));
    await store.close();
    expect(await client.ping()).toBe("PONG");
    expect(client.eventNames().map((name) => [name, client.listenerCount(name)])).toEqual(before);
  });
});

describe("what the server refuses", () => {
  it("is UNAVAILABLE for writes to a read-only replica, and reads go on", async () => {
    const replica = await startRedis({ args: ["--replicaof", "127.0.0.1", String(server.port)] });
    closing.push(() => replica.stop());
    const written = open(server.url, { prefix: "replica" });
    await written.create(session("a", "u"));
    const store = open(replica.url, { prefix: "replica" });
    await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
    await expect(store.update("a", { payload: "q" })).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
    await expect(store.create(session("b", "u"))).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    expect((await store.get("a"))?.payload).toBe("p");
    expect((await written.get("a"))?.payload).toBe("p");
  });

  it("is UNAVAILABLE when memory is used up, while touch and destroy still work", async () => {
    const full = await startRedis();
    closing.push(() => full.stop());
    const client = new Redis(full.url);
    closing.push(async () => client.disconnect());
    const store = new RedisStore({ client, timeoutMs: 10_000 });
    await store.create(session("a", "u"));
    await store.create(session("b", "u"));
    await client.config("SET", "maxmemory", "1");
    await expect(store.create(session("c"))).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    expect(await store.touch("a", { idleMs: 500_000 })).toBe(true);
    expect(await store.destroy("a")).toEqual({ id: "a", userId: "u" });
    expect(await store.destroyByUser("u")).toEqual(["b"]);
  });

  it("is CORRUPT where a key holds another type, in get, lists and scans, and the key stays", async () => {
    const client = new Redis(server.url);
    closing.push(async () => client.disconnect());
    const store = new RedisStore({ client, prefix: "types", timeoutMs: 10_000 });
    const key = `${keyspace("types").sessionPrefix}a`;
    await store.create(session("a", "u"));
    await client.del(key);
    await client.rpush(key, "x");
    await expect(store.get("a")).rejects.toMatchObject({ code: "CORRUPT" });
    await expect(store.update("a", { payload: "q" })).rejects.toMatchObject({ code: "CORRUPT" });
    await expect(store.touch("a", { idleMs: 1_000 })).rejects.toMatchObject({ code: "CORRUPT" });
    await expect(store.destroy("a")).rejects.toMatchObject({ code: "CORRUPT" });
    const reported: unknown[] = [];
    expect(await store.listByUser("u", { onCorrupt: (error) => reported.push(error.code) })).toEqual([]);
    for await (const _ of store.scan({ onCorrupt: (error) => reported.push(error.code) }));
    expect(reported).toEqual(["CORRUPT", "CORRUPT"]);
    expect(await client.type(key)).toBe("list");
  });

  it("takes the largest payload, and refuses one more byte before sending", async () => {
    const store = open(server.url, { prefix: "large", timeoutMs: 20_000 });
    const { maxPayloadBytes } = store.capabilities;
    const largest = "x".repeat(maxPayloadBytes);
    expect((await store.create({ ...session("a", "u"), payload: largest })).status).toBe("created");
    expect((await store.get("a"))?.payload === largest).toBe(true);
    expect(await store.touch("a", { idleMs: 500_000 })).toBe(true);
    expect((await store.rename("a", "b")).status).toBe("renamed");
    await expect(store.update("b", { payload: `${largest}x` })).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    await store.clear();
  });
});

describe("the script cache", () => {
  it("may be flushed at any time: the next call sends the script again", async () => {
    const client = new Redis(server.url);
    closing.push(async () => client.disconnect());
    const store = new RedisStore({ client, prefix: "flush", timeoutMs: 10_000 });
    for (const id of ["a", "b", "c"]) {
      await client.script("FLUSH");
      expect((await store.create(session(id, "u"))).status).toBe("created");
      await client.script("FLUSH");
      expect(await store.touch(id, { idleMs: 1_000 })).toBe(true);
    }
    await client.script("FLUSH");
    expect((await store.listByUser("u")).length).toBe(3);
  });
});

describe("a server that may evict sessions", () => {
  const warningsDuring = async (store: RedisStore): Promise<string[]> => {
    const seen: string[] = [];
    const listener = (warning: Error & { code?: string }): void => {
      if (warning.code === "SOJOURN_REDIS_EVICTION") seen.push(warning.message);
    };
    process.on("warning", listener);
    await store.get("a");
    await store.get("a");
    // The server was asked beside the first read, so its answer came before that to the second; the warning a tick later.
    await turn();
    process.off("warning", listener);
    return seen;
  };

  it("is warned of once; one that does not evict is not", async () => {
    const evicting = await startRedis({ args: ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"] });
    closing.push(() => evicting.stop());
    const warnings = await warningsDuring(open(evicting.url));
    expect(warnings.length).toBe(1);
    expect(warnings[0]).toContain('maxmemory-policy is "allkeys-lru"');
    expect(await warningsDuring(open(server.url))).toEqual([]);
  });
});
