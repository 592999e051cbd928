import { startRedis, type TestServer, testedVersions, whyMissing } from "@sojourn/test-fixtures";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { afterEach, describe, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";
import { keyspace } from "../src/keys.js";

const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: 600_000, absoluteMs: 600_000 });
const prefix = "refusals";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** The server of this machine, and the oldest and the newest that the tests know. */
describe.each(["installed", ...testedVersions("Redis", "Valkey")] as const)("what a server refuses: %s", (version) => {
  const reason = version === "installed" ? undefined : whyMissing(version);
  const test = it.skipIf(reason !== undefined);

  async function start(...args: string[]): Promise<TestServer> {
    const server = await startRedis({ args, ...(version !== "installed" && { version }) });
    closing.push(() => server.stop());
    return server;
  }

  function open(server: TestServer): { store: RedisStore; admin: Redis } {
    const store = RedisStore.fromUrl(server.url, { prefix, timeoutMs: 10_000 });
    const admin = new Redis(server.url);
    closing.push(
      () => store.close(),
      () => admin.disconnect(),
    );
    return { store, admin };
  }

  const refused = { code: "UNAVAILABLE", retryable: true, outcomeUnknown: false };

  test("takes a process's first calls, all at the same time", async () => {
    const server = await start();
    const { store } = open(server);
    const created = await Promise.all(Array.from({ length: 50 }, (_, n) => store.create(session(`s${n}`, "u"))));
    expect(created.every(({ status }) => status === "created")).toBe(true);
    const touched = await Promise.all(Array.from({ length: 50 }, (_, n) => store.touch(`s${n}`, { idleMs: 60_000 })));
    expect(touched.every(Boolean)).toBe(true);
  });

  test("is UNAVAILABLE when memory is used up, while touch, list, destroy and log-out still work", async () => {
    const { store, admin } = open(await start());
    for (const id of ["a", "b", "c"]) await store.create(session(id, "u"));
    await admin.config("SET", "maxmemory", "1");
    await expect(store.create(session("d", "u"))).rejects.toMatchObject(refused);
    await expect(store.update("a", { payload: "q" })).rejects.toMatchObject(refused);
    await expect(store.rename("a", "e")).rejects.toMatchObject(refused);
    expect(await store.touch("a", { idleMs: 500_000 })).toBe(true);
    expect(await store.touch("b", { idleMs: 600_000, shorten: true })).toBe(true);
    expect((await store.listByUser("u")).length).toBe(3);
    expect(await store.destroy("a")).toEqual({ id: "a", userId: "u" });
    expect(await store.destroyByUser("u")).toEqual(["b", "c"]);
  });

  test("is UNAVAILABLE without enough replicas", async () => {
    const { store, admin } = open(await start());
    await store.create(session("a", "u"));
    await admin.config("SET", "min-replicas-to-write", "1");
    await expect(store.create(session("b", "u"))).rejects.toMatchObject(refused);
    await expect(store.touch("a", { idleMs: 60_000 })).rejects.toMatchObject(refused);
    expect((await store.get("a"))?.id).toBe("a");
  });

  test("is UNAVAILABLE while the server cannot write its snapshot", async () => {
    // Nothing can be written there, whoever the user is.
    const { store, admin } = open(await start("--dir", "/proc"));
    await admin.config("SET", "save", "900 1000");
    await store.create(session("a", "u"));
    await admin.bgsave();
    await expect.poll(() => admin.info("persistence")).toContain("rdb_last_bgsave_status:err");
    await expect(store.create(session("b", "u"))).rejects.toMatchObject(refused);
    // A server that cannot write its snapshot refuses to end.
    await admin.config("SET", "save", "");
  });

  test("is UNAVAILABLE on a replica, and the connection is given up", async () => {
    const master = await start("--repl-diskless-sync-delay", "0");
    const replica = await start("--replicaof", "127.0.0.1", String(master.port));
    const { store: written } = open(master);
    await written.create(session("a", "u"));
    const { store, admin } = open(replica);
    await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
    const connections = async () => Number(/total_connections_received:(\d+)/.exec(await admin.info("stats"))?.[1]);
    const before = await connections();
    await expect(store.create(session("b", "u"))).rejects.toMatchObject(refused);
    expect((await store.get("a"))?.payload).toBe("p");
    expect((await connections()) - before).toBe(1);
  });

  test("is CORRUPT where the index of a user holds another type, and nothing is stored", async () => {
    const { store, admin } = open(await start());
    const { sessionPrefix, userPrefix } = keyspace(prefix);
    await store.create(session("mine", "v"));
    await admin.set(`${userPrefix}u`, "no index");
    const corrupt = { code: "CORRUPT", outcomeUnknown: false };
    await expect(store.create(session("a", "u"))).rejects.toMatchObject(corrupt);
    await expect(store.update("mine", { userId: "u" })).rejects.toMatchObject(corrupt);
    await expect(store.rename("mine", "b", { userId: "u" })).rejects.toMatchObject(corrupt);
    await expect(store.listByUser("u")).rejects.toMatchObject(corrupt);
    await expect(store.destroyByUser("u")).rejects.toMatchObject(corrupt);
    expect(await admin.exists(`${sessionPrefix}a`, `${sessionPrefix}b`)).toBe(0);
    expect(await store.get("mine")).toMatchObject({ userId: "v", version: 1 });
    expect(await store.listByUser("v")).toHaveLength(1);
  });

  test("is CORRUPT in touch and update where the index has become another type, and the session stays as it was", async () => {
    const { store, admin } = open(await start());
    const { userPrefix } = keyspace(prefix);
    await store.create(session("a", "u"));
    await admin.set(`${userPrefix}u`, "no index");
    const before = await store.get("a");
    const corrupt = { code: "CORRUPT", outcomeUnknown: false };
    await expect(store.touch("a", { idleMs: 500_000, shorten: true })).rejects.toMatchObject(corrupt);
    await expect(store.update("a", { payload: "q", idleMs: 500_000 })).rejects.toMatchObject(corrupt);
    expect({ ...(await store.get("a")), now: 0 }).toEqual({ ...before, now: 0 });
    // A log-out of one session needs no index.
    expect(await store.destroy("a")).toEqual({ id: "a", userId: "u" });
    expect(await store.get("a")).toBeUndefined();
  });

  test("reads alike through node-redis", async () => {
    const server = await start();
    const { admin } = open(server);
    const store = new RedisStore({ client: createClient({ url: server.url }), prefix, timeoutMs: 10_000 });
    closing.push(() => store.close());
    await store.create(session("a", "u"));
    await admin.config("SET", "min-replicas-to-write", "1");
    await expect(store.create(session("b", "u"))).rejects.toMatchObject(refused);
    await admin.config("SET", "min-replicas-to-write", "0");
    await admin.config("SET", "maxmemory", "1");
    await expect(store.create(session("b", "u"))).rejects.toMatchObject(refused);
    expect(await store.touch("a", { idleMs: 60_000 })).toBe(true);
    await admin.config("SET", "maxmemory", "0");
    await admin.set(`${keyspace(prefix).userPrefix}v`, "no index");
    await expect(store.create(session("b", "v"))).rejects.toMatchObject({ code: "CORRUPT" });
  });
});
