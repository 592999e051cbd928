import { setTimeout as sleep } from "node:timers/promises";
import { isSessionError, type SessionErrorCode, type SessionStore } from "@sojourn/core";
import { type MemcachedServerOptions, startMemcached, type TestServer } from "@sojourn/test-fixtures";
import { afterEach, describe, expect, test, vi } from "vitest";
import { MemcachedStore, type MemcachedStoreOptions } from "../src/index.js";
import { Keys } from "../src/keys.js";
import { clientOf, openOn } from "./harness.js";

const hour = 3_600_000;
const lifetime = { payload: "p", idleMs: hour, absoluteMs: 24 * hour };
const servers: TestServer[] = [];
const stores: SessionStore[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(stores.splice(0).map((store) => store.close()));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(options?: MemcachedServerOptions): Promise<TestServer> {
  const server = await startMemcached(options);
  servers.push(server);
  return server;
}

/** A store that is patient, unless told otherwise: a busy machine is no outage. */
function open(url: string, options: Omit<MemcachedStoreOptions, "client"> = {}): MemcachedStore {
  const store = MemcachedStore.fromUrl(url, { timeoutMs: 10_000, ...options });
  stores.push(store);
  return store;
}

/** Returns the error code of each method; "none" for a method that succeeds. */
function failures(store: SessionStore): Promise<(SessionErrorCode | "none")[]> {
  const calls: Promise<unknown>[] = [
    store.create({ id: "a", userId: "u", ...lifetime }),
    store.get("a"),
    store.update("a", { payload: "q" }),
    store.touch("a", { idleMs: hour }),
    store.rename("a", "b"),
    store.destroy("a"),
    store.listByUser("u"),
    store.destroyByUser("u"),
    store.clear(),
  ];
  return Promise.all(
    calls.map((call) =>
      call.then(
        (): "none" => "none",
        (error) => {
          if (isSessionError(error)) return error.code;
          throw error;
        },
      ),
    ),
  );
}

/** Asks until the store answers again. */
async function recovered(store: SessionStore, id: string): Promise<void> {
  await vi.waitFor(() => store.create({ id, userId: "u", ...lifetime }), { timeout: 20_000, interval: 20 });
}

describe("a server that is away", () => {
  test("was down at start: every method rejects, and the store recovers by itself", async () => {
    const server = await start();
    await server.kill();
    const store = open(server.url, { timeoutMs: 1_000 });
    for (const code of await failures(store)) expect(["UNAVAILABLE", "TIMEOUT"]).toContain(code);
    await server.restart();
    await recovered(store, "new");
    expect((await store.get("new"))?.userId).toBe("u");
  });

  test("hangs: every method rejects TIMEOUT, a write says that its outcome is unknown, and the store recovers", async () => {
    const server = await start();
    const store = open(server.url, { timeoutMs: 300 });
    await recovered(store, "kept");
    server.pause();
    // The signal takes its time to arrive.
    await vi.waitFor(() => expect(store.get("kept")).rejects.toMatchObject({ retryable: true }), { timeout: 10_000 });
    for (const code of await failures(store)) expect(["UNAVAILABLE", "TIMEOUT"]).toContain(code);
    await expect(store.clear()).rejects.toMatchObject({ outcomeUnknown: true });
    server.resume();
    await recovered(store, "new");
  });

  test("is killed under load and started again: every call is answered, and service resumes", async () => {
    const server = await start();
    const store = open(server.url, { timeoutMs: 1_000 });
    let isRunning = true;
    let longestMs = 0;
    const answers = new Map<string, number>();
    const worker = async (worker: number): Promise<void> => {
      for (let n = 0; isRunning; n++) {
        const id = `${worker} ${n}`;
        const startedAt = performance.now();
        const answer = await store
          .create({ id, userId: `u${worker}`, ...lifetime })
          .then(() => store.destroy(id))
          .then(
            () => "answered",
            (error) => (isSessionError(error) ? error.code : String(error)),
          );
        longestMs = Math.max(longestMs, performance.now() - startedAt);
        answers.set(answer, (answers.get(answer) ?? 0) + 1);
        // A refused caller does not ask again at once.
        if (answer !== "answered") await sleep(5);
      }
    };
    const workers = Array.from({ length: 16 }, (_, n) => worker(n));
    const answered = (): number => answers.get("answered") ?? 0;
    await expect.poll(answered).toBeGreaterThan(100);
    await server.kill();
    await expect.poll(() => answers.size).toBeGreaterThan(1);
    await server.restart();
    const restartedAt = performance.now();
    await recovered(store, "new");
    const recoveryMs = performance.now() - restartedAt;
    const before = answered();
    await expect.poll(answered).toBeGreaterThan(before + 100);
    isRunning = false;
    await Promise.all(workers);
    console.log(
      `killed under load: ${[...answers].map(([answer, count]) => `${count} ${answer}`).join(", ")}; longest call ` +
        `${Math.round(longestMs)} ms; answers again ${Math.round(recoveryMs)} ms after the restart`,
    );
    for (const answer of answers.keys()) expect(["answered", "UNAVAILABLE", "TIMEOUT"]).toContain(answer);
  });

  test("is one of two: the sessions whose items are on the other one live on", async () => {
    const [first, second] = [await start(), await start()];
    const url = `${first.url},127.0.0.1:${second.port}`;
    const store = open(url, { timeoutMs: 5_000 });
    const ids = Array.from({ length: 24 }, (_, n) => `a${n}`);
    await Promise.all(ids.map((id) => store.create({ id, userId: `user of ${id}`, ...lifetime })));
    for (const id of ids) expect((await store.get(id))?.id).toBe(id);
    await second.kill();
    const found = await Promise.allSettled(ids.map((id) => store.get(id)));
    const living = found.filter((result) => result.status === "fulfilled" && result.value !== undefined);
    expect(living.length).toBeGreaterThan(0);
    expect(found.some((result) => result.status === "fulfilled" && result.value === undefined)).toBe(false);
    await second.restart();
    await vi.waitFor(() => Promise.all(ids.map((id) => store.get(id))), { timeout: 20_000, interval: 50 });
    const again = await Promise.all(ids.map((id) => store.get(id)));
    expect(again.filter((record) => record !== undefined)).toHaveLength(living.length);
  });
});

describe("a server that forgets", () => {
  test("evicts: evicted sessions stay dead, and each live one is listed", async () => {
    const server = await start({ args: ["-m", "2"] });
    const store = open(server.url, { timeoutMs: 60_000 });
    const payload = "p".repeat(2_000);
    const users = Array.from({ length: 1_500 }, (_, n) => `u${n}`);
    const created = await Promise.allSettled(
      users.map((userId) => store.create({ ...lifetime, id: `session of ${userId}`, userId, payload })),
    );
    let living = 0;
    for (const userId of users) {
      const record = await store.get(`session of ${userId}`);
      const listed = await store.listByUser(userId);
      expect(listed.map(({ id }) => id)).toEqual(record === undefined ? [] : [record.id]);
      if (record !== undefined) living++;
    }
    const stored = created.filter(({ status }) => status === "fulfilled").length;
    console.log(`2 MB for ${stored} sessions of 2 kB: ${living} still live, all of them listed`);
    expect(living).toBeGreaterThan(0);
    expect(living).toBeLessThan(stored);
  });

  test("restarts: all users are logged out, and the next login works", async () => {
    const server = await start();
    const store = open(server.url);
    await store.create({ id: "a", userId: "u", ...lifetime });
    await server.restart();
    await recovered(store, "b");
    expect(await store.get("a")).toBeUndefined();
    expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["b"]);
  });
});

describe("a server that does not do", () => {
  test("has compare-and-swap turned off: refused at the first call, with the reason", async () => {
    const server = await start({ args: ["-C"] });
    await expect(open(server.url).get("a")).rejects.toMatchObject({
      code: "BACKEND",
      message: expect.stringContaining("compare-and-swap"),
    });
  });

  test("holds smaller items than the option says: refused before one is lost, and accepted with the option", async () => {
    const server = await start({ args: ["-I", "512k"] });
    const refused = open(server.url).create({ id: "a", ...lifetime });
    await expect(refused).rejects.toMatchObject({
      code: "INVALID_OPTION",
      message: expect.stringContaining('"maxItemBytes"'),
    });
    const store = open(server.url, { maxItemBytes: 524_288 });
    const payload = "x".repeat(store.capabilities.maxPayloadBytes);
    await store.create({ ...lifetime, id: "a", userId: "\u0001".repeat(512), payload });
    expect((await store.get("a"))?.payload).toBe(payload);
    await expect(store.update("a", { payload: `${payload}x` })).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect((await store.get("a"))?.payload).toBe(payload);
  });
});

test("a corrupt item of a user is reported, and left as it is", async () => {
  const server = await start();
  const client = clientOf(server.url);
  const store = await openOn(client, { namespace: "corrupt" });
  stores.push(store);
  await store.create({ id: "a", userId: "u", ...lifetime });
  await client.set(new Keys("corrupt").user("u"), "unreadable", { expires: 60 });
  await expect(store.get("a")).rejects.toMatchObject({ code: "CORRUPT" });
  await expect(store.listByUser("u")).rejects.toMatchObject({ code: "CORRUPT" });
  await expect(store.create({ id: "b", userId: "u", ...lifetime })).rejects.toMatchObject({ code: "CORRUPT" });
  expect(String((await client.get(new Keys("corrupt").user("u"))).value)).toBe("unreadable");
});

test("a clock of this process that is an hour off changes nothing", async () => {
  const server = await start();
  const store = open(server.url);
  const { now } = Date;
  for (const skew of [-hour, hour]) {
    vi.spyOn(Date, "now").mockImplementation(() => now() + skew);
    const created = await store.create({ id: `skewed ${skew}`, userId: "u", ...lifetime, idleMs: hour / 2 });
    expect(created.status).toBe("created");
    if (created.status !== "created") continue;
    expect(Math.abs(created.record.createdAt - now())).toBeLessThan(10_000);
    expect((await store.get(`skewed ${skew}`))?.expiresAt).toBe(created.record.expiresAt);
  }
});
