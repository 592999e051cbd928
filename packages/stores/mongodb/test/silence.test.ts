import { isSessionError, SessionManager, type SessionStore } from "@sojourn/core";
import { startFerretDB, startMongoJavaServer, startTcpProxy, type TestServer } from "@sojourn/test-fixtures";
import type { MongoClient } from "mongodb";
import { afterAll, describe, expect, test } from "vitest";
import { MongoStore } from "../src/index.js";
import { openClient, openClient6, openStore } from "./harness.js";

const hour = 3_600_000;
const lives = { payload: "p", idleMs: hour, absoluteMs: 24 * hour };
/** Well-formed, and of no session. */
const token = "A".repeat(43);

const [ferret, java] = await Promise.all([startFerretDB(), startMongoJavaServer()]);
afterAll(() => Promise.all([ferret.stop(), java.stop()]));

let databases = 0;
const freshDatabase = (): string => `silence_${process.pid}_${databases++}`;

/** Has so many connections lent at the same time that they are idle afterwards. */
async function warmUp(store: SessionStore): Promise<void> {
  await Promise.all(Array.from({ length: 8 }, (_, n) => store.get(`warm ${n}`)));
}

/** Repeats a call until it is answered. */
async function untilAnswered(call: () => Promise<unknown>): Promise<{ seconds: number; failures: string[] }> {
  const startedAt = performance.now();
  const failures: string[] = [];
  for (;;) {
    const failure: string = await call().then(
      () => "",
      (error: unknown) => (isSessionError(error) ? error.code : String(error)),
    );
    const seconds = (performance.now() - startedAt) / 1_000;
    if (failure === "") return { seconds, failures };
    failures.push(failure);
    expect(seconds).toBeLessThan(60);
  }
}

describe("connections that drop packets without a word are replaced within twice the timeout", () => {
  const timeoutMs = 1_000;
  const setups: readonly [
    name: string,
    server: TestServer,
    open: (url: string) => [MongoStore, () => Promise<void>],
  ][] = [
    ["a client of driver 7", ferret, (url) => borrowed(openClient(url))],
    ["a client of driver 6", java, (url) => borrowed(openClient6(url))],
    ["a client of the store", ferret, (url) => owned(url)],
  ];
  const borrowed = (client: MongoClient): [MongoStore, () => Promise<void>] => [
    new MongoStore({ client, dbName: freshDatabase(), timeoutMs }),
    () => client.close(),
  ];
  const owned = (url: string): [MongoStore, () => Promise<void>] => {
    const store = MongoStore.fromUrl(url, { dbName: freshDatabase(), timeoutMs });
    return [store, () => store.close()];
  };

  test.each(setups)("%s", async (name, server, open) => {
    const proxy = await startTcpProxy(server.url);
    const [store, close] = open(proxy.url);
    await expect.poll(() => store.create({ id: "a", ...lives }).catch(() => undefined)).toBeDefined();
    const calls: readonly [name: string, call: () => Promise<unknown>][] = [
      ["reads", () => store.get("a")],
      ["writes", () => store.update("a", { payload: "q" })],
    ];
    for (const [kind, call] of calls) {
      await warmUp(store);
      proxy.freeze();
      const { seconds, failures } = await untilAnswered(call);
      console.log(`silent drop, ${name}, ${kind}: ${seconds.toFixed(2)} s, failed: ${failures.join(", ")}`);
      expect(["TIMEOUT", "UNAVAILABLE"]).toEqual(expect.arrayContaining(failures));
      expect(seconds).toBeLessThan((2 * timeoutMs) / 1_000);
    }
    await store.close();
    await close();
    await proxy.stop();
  });
});

test.each<[string, TestServer, typeof openClient]>([
  ["7", ferret, openClient],
  ["6", java, openClient6],
])(
  "silent connections are replaced when only the question for the time meets them: driver %s",
  async (_, server, open) => {
    const timeoutMs = 1_000;
    const proxy = await startTcpProxy(server.url);
    const client = open(proxy.url);
    // The store has not asked for the time yet. Its first write does, on a connection that the application has used.
    const store = new MongoStore({ client, dbName: freshDatabase(), timeoutMs });
    await Promise.all(Array.from({ length: 8 }, () => client.db("admin").command({ ping: 1 })));
    proxy.freeze();
    const { seconds, failures } = await untilAnswered(() => store.update("a", { payload: "p", idleMs: hour }));
    expect(["TIMEOUT", "UNAVAILABLE"]).toEqual(expect.arrayContaining(failures));
    expect(seconds).toBeLessThan((2 * timeoutMs) / 1_000);
    await store.close();
    await client.close();
    await proxy.stop();
  },
);

describe("a pool that lends no connection", () => {
  test.each<[string, TestServer, typeof openClient]>([
    ["7", ferret, openClient],
    ["6", java, openClient6],
  ])("makes every call UNAVAILABLE, and sends none of them later: driver %s", async (_, server, open) => {
    const proxy = await startTcpProxy(server.url);
    const dbName = freshDatabase();
    const client = open(proxy.url, { maxPoolSize: 1, minPoolSize: 0, heartbeatFrequencyMS: 60_000 });
    const witnessClient = open(server.url);
    const witness = await openStore({ client: witnessClient, dbName });
    await witness.create({ id: "a", userId: "u", ...lives });
    const store = new MongoStore({ client, dbName, timeoutMs: 500 });
    await expect
      .poll(() =>
        store.ensureSchema().then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
    // The application's own query, without a timeout, keeps the one connection.
    proxy.freeze();
    const keeper = client.db(dbName).collection("other").findOne({});
    const sessions = new SessionManager({ store, idleTimeout: "30m", absoluteTimeout: "12h" });
    const calls: Promise<unknown>[] = [
      store.get("a"),
      store.get("b"),
      store.create({ id: "late", userId: "u", ...lives }),
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
    proxy.thaw();
    await keeper;
    await expect.poll(() => store.get("a").catch(() => undefined)).toBeDefined();
    expect(await witness.listByUser("u")).toMatchObject([{ id: "a", payload: "p", version: 1 }]);
    await Promise.all([client.close(), witnessClient.close()]);
    await proxy.stop();
  });
});

test("a write that waits behind a hanging one is UNAVAILABLE", async () => {
  const proxy = await startTcpProxy(ferret.url);
  const store = MongoStore.fromUrl(proxy.url, { dbName: freshDatabase(), timeoutMs: 500 });
  await expect.poll(() => store.create({ id: "a", ...lives }).catch(() => undefined)).toBeDefined();
  proxy.freeze("all");
  const [first, second] = await Promise.allSettled([store.update("a", { payload: "1" }), store.destroy("a")]);
  expect(first).toMatchObject({ reason: { code: "TIMEOUT", outcomeUnknown: true } });
  expect(second).toMatchObject({ reason: { code: "UNAVAILABLE", outcomeUnknown: false } });
  proxy.thaw();
  await store.close();
  await proxy.stop();
});

test("a create whose answer is lost is sent once: it does not come back after log out everywhere", async () => {
  const proxy = await startTcpProxy(java.url);
  const dbName = freshDatabase();
  const client = openClient6(`${proxy.url}?retryWrites=true`);
  const witnessClient = openClient6(java.url);
  const [store, witness] = await Promise.all([
    openStore({ client, dbName }),
    openStore({ client: witnessClient, dbName }),
  ]);
  let inserts = 0;
  client.on("commandStarted", ({ commandName }) => {
    if (commandName !== "insert") return;
    inserts += 1;
    if (inserts === 1) proxy.cutNextAnswer("reset", 10);
  });
  await store.get("warm");
  const created = store.create({ id: "a", userId: "u", ...lives });
  await expect(created).rejects.toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: true });
  expect(await witness.destroyByUser("u")).toEqual(["a"]);
  await expect.poll(() => store.get("a").catch((error: unknown) => error)).toBeUndefined();
  expect(inserts).toBe(1);
  await Promise.all([client.close(), witnessClient.close()]);
  await proxy.stop();
});
