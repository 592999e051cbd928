import { setTimeout as sleep } from "node:timers/promises";
import { isSessionError, type SessionStore } from "@sojourn/core";
import type { SessionRecord } from "@sojourn/core/adapter";
import { resolveMemcached } from "@sojourn/test-fixtures";
import { afterAll, describe, expect, test } from "vitest";
import { MemcachedStore, type MemjsClient } from "../src/index.js";
import { Keys } from "../src/keys.js";
import { clientOf, holdAfter, later, onEachRequest, openOn, WaitCounter } from "./harness.js";

const server = await resolveMemcached();
const opened: SessionStore[] = [];

afterAll(async () => {
  await Promise.all(opened.map((store) => store.close()));
  await server.stop();
});

const hour = 3_600_000;
const lifetime = { payload: "p", idleMs: hour, absoluteMs: 24 * hour };
let namespaces = 0;

function freshNamespace(): string {
  return `protocol ${process.pid} ${namespaces++}`;
}

async function open(namespace: string, prepare: (client: MemjsClient) => void = () => {}): Promise<MemcachedStore> {
  const client = clientOf(server.url);
  const store = await openOn(client, { namespace });
  prepare(client);
  opened.push(store);
  return store;
}

function idsOf(records: readonly SessionRecord[]): string[] {
  return records.map(({ id }) => id).sort();
}

/** Of `ids`, those that are alive. */
async function alive(store: SessionStore, ids: readonly string[]): Promise<string[]> {
  const found = await Promise.all(ids.map((id) => store.get(id)));
  return ids.filter((_, n) => found[n] !== undefined).sort();
}

describe("the user's item is the authority", () => {
  test("four clients race 50 logins of a user against log out everywhere: no live session is unlisted", async () => {
    const namespace = freshNamespace();
    const stores = await Promise.all([1, 2, 3, 4].map(() => open(namespace)));
    const first = await open(namespace);
    const rounds = Number(process.env.SOJOURN_RACE_ROUNDS ?? 40);
    let survivors = 0;
    for (let round = 0; round < rounds; round++) {
      const userId = `u${round}`;
      const ids = Array.from({ length: 50 }, (_, n) => `${round} ${n}`);
      let answered = 0;
      const logins = ids.map(async (id, n) => {
        await sleep(Math.random() * 4);
        await stores[n % 4]?.create({ id, userId, ...lifetime });
        answered++;
      });
      // In the first round before all logins, in the last one after almost all of them.
      const logout = async (): Promise<void> => {
        while (answered < Math.floor((50 * round) / rounds)) await sleep(1);
        await stores[round % 4]?.destroyByUser(userId);
      };
      await Promise.all([...logins, logout()]);
      const living = await alive(first, ids);
      survivors += living.length;
      expect(idsOf(await first.listByUser(userId))).toEqual(living);
    }
    console.log(`${rounds} rounds of 50 logins against a logout: ${survivors} of ${rounds * 50} survived, all listed`);
    expect(survivors).toBeGreaterThan(0);
    expect(survivors).toBeLessThan(rounds * 50);
  });

  test("300 logins of a user at the same time in one process all succeed", async () => {
    const store = await open(freshNamespace());
    const ids = Array.from({ length: 300 }, (_, n) => `a${n}`);
    const startedAt = performance.now();
    await Promise.all(ids.map((id) => store.create({ id, userId: "u", ...lifetime })));
    console.log(`300 logins of one user at the same time: ${Math.round(performance.now() - startedAt)} ms`);
    expect(await store.listByUser("u")).toHaveLength(300);
  });

  test("60 logins of a user by two processes at the same time, each request of which takes long, all succeed", async () => {
    const namespace = freshNamespace();
    const slow = (client: MemjsClient) => void onEachRequest(client, () => sleep(40));
    const stores = [await open(namespace, slow), await open(namespace, slow)];
    const limit = { max: 5, whenReached: "evictOldest" } as const;
    const ids = Array.from({ length: 60 }, (_, n) => `a${n}`);
    const logins = ids.map((id, n) => stores[n % 2]?.create({ id, userId: "u", ...lifetime }, { limit }));
    const statuses = await Promise.all(logins.map((login) => login?.then(({ status }) => status, String)));
    expect(statuses.filter((status) => status !== "created")).toEqual([]);
    expect(await stores[0]?.listByUser("u")).toHaveLength(5);
  });

  test("its loss logs the user out, and leaves nothing alive", async () => {
    const namespace = freshNamespace();
    const store = await open(namespace);
    for (const id of ["a", "b"]) await store.create({ id, userId: "u", ...lifetime });
    await store.create({ id: "other", userId: "v", ...lifetime });
    await store.create({ id: "anonymous", ...lifetime });
    const client = clientOf(server.url);
    await client.delete(new Keys(namespace).user("u"));
    client.close();

    expect(await alive(store, ["a", "b", "other", "anonymous"])).toEqual(["anonymous", "other"]);
    expect(await store.listByUser("u")).toEqual([]);
    expect(await store.update("a", { payload: "q" })).toEqual({ status: "missing" });
    expect(await store.touch("a", { idleMs: hour })).toBe(false);
    expect(await store.rename("b", "c")).toEqual({ status: "missing" });
    expect(await store.destroy("a")).toBeUndefined();
    const again = await store.create({ id: "c", userId: "u", ...lifetime });
    expect(again.status).toBe("created");
    expect(await alive(store, ["a", "b", "c"])).toEqual(["c"]);
  });

  test("the loss of the generation ends everything, and the next login begins anew", async () => {
    const namespace = freshNamespace();
    const store = await open(namespace);
    await store.create({ id: "a", userId: "u", ...lifetime });
    await store.create({ id: "b", ...lifetime });
    const client = clientOf(server.url);
    await client.delete(new Keys(namespace).generation);
    client.close();
    expect(await alive(store, ["a", "b"])).toEqual([]);
    expect(await store.listByUser("u")).toEqual([]);
    expect((await store.create({ id: "a", userId: "u", ...lifetime })).status).toBe("created");
    expect(idsOf(await store.listByUser("u"))).toEqual(["a"]);
  });

  test("ten processes that find no generation agree on one", async () => {
    const namespace = freshNamespace();
    const stores = Array.from({ length: 10 }, () =>
      MemcachedStore.fromUrl(server.url, { namespace, timeoutMs: 30_000 }),
    );
    opened.push(...stores);
    await Promise.all(stores.map((store, n) => store.create({ id: `a${n}`, userId: "u", ...lifetime })));
    for (const store of stores) expect(await store.listByUser("u")).toHaveLength(10);
  });

  test("a wrong memory of the user changes no answer", async () => {
    const namespace = freshNamespace();
    const [one, other] = [await open(namespace), await open(namespace)];
    await one.create({ id: "a", userId: "u", ...lifetime });
    expect((await other.get("a"))?.userId).toBe("u");
    await one.update("a", { userId: "v" });
    expect((await other.get("a"))?.userId).toBe("v");
    await one.update("a", { userId: null });
    expect(await other.touch("a", { idleMs: hour })).toBe(true);
    await one.update("a", { userId: "u" });
    const updated = await other.update("a", { payload: "q" });
    expect(updated).toMatchObject({ status: "updated", record: { userId: "u", payload: "q" } });
    await one.destroy("a");
    await one.create({ id: "a", userId: "w", ...lifetime });
    expect(await other.destroy("a")).toEqual({ id: "a", userId: "w" });
    expect(await one.get("a")).toBeUndefined();
  });

  test("a user has at most maxSessionsPerUser sessions, those that ended not counted", async () => {
    const client = clientOf(server.url);
    const store = await openOn(client, { namespace: freshNamespace(), maxSessionsPerUser: 3 });
    opened.push(store);
    for (const id of ["a", "b", "c"]) await store.create({ id, userId: "u", ...lifetime });
    const fourth = store.create({ id: "d", userId: "u", ...lifetime });
    await expect(fourth).rejects.toMatchObject({ code: "LIMIT_REACHED" });
    expect(await store.get("d")).toBeUndefined();
    await store.destroy("a");
    expect((await store.create({ id: "e", userId: "u", ...lifetime })).status).toBe("created");
    expect(idsOf(await store.listByUser("u"))).toEqual(["b", "c", "e"]);
  });

  test("clear ends what is in its namespace, at once for every store, and no other item", async () => {
    const [namespace, neighbour] = [freshNamespace(), freshNamespace()];
    const [one, two, other] = [await open(namespace), await open(namespace), await open(neighbour)];
    for (const store of [one, other]) {
      await store.create({ id: "a", userId: "u", ...lifetime });
      await store.create({ id: "b", ...lifetime });
    }
    const client = clientOf(server.url);
    await client.set("of-another-program", "stays", { expires: 60 });
    await one.clear();
    expect(await alive(two, ["a", "b"])).toEqual([]);
    expect(await two.listByUser("u")).toEqual([]);
    expect(await alive(other, ["a", "b"])).toEqual(["a", "b"]);
    expect(String((await client.get("of-another-program")).value)).toBe("stays");
    client.close();
    expect((await two.create({ id: "a", userId: "u", ...lifetime })).status).toBe("created");
    expect(idsOf(await one.listByUser("u"))).toEqual(["a"]);
  });
});

/**
 * Each operation is stopped after each number of requests, as by the death of its process, and then judged by another
 * process: sessions that live are listed, listed sessions live, and the user can be logged out.
 */
describe("a process that dies between two requests", () => {
  const evictOldest = { limit: { max: 2, whenReached: "evictOldest" } } as const;
  const operations: Readonly<Record<string, (store: SessionStore) => Promise<unknown>>> = {
    create: (store) => store.create({ id: "new", userId: "u", ...lifetime }),
    "create evicting": (store) => store.create({ id: "new", userId: "u", ...lifetime }, evictOldest),
    update: (store) => store.update("a", { payload: "q", idleMs: hour }),
    touch: (store) => store.touch("a", { idleMs: 2 * hour }),
    "move to another user": (store) => store.update("a", { userId: "v" }, evictOldest),
    "make anonymous": (store) => store.update("a", { userId: null }),
    rename: (store) => store.rename("a", "new"),
    "rename to another user": (store) => store.rename("a", "new", { userId: "v" }, evictOldest),
    login: (store) => store.rename("anonymous", "new", { userId: "u" }),
    "rename an anonymous session": (store) => store.rename("anonymous", "new"),
    destroy: (store) => store.destroy("a"),
    destroyByUser: (store) => store.destroyByUser("u"),
    clear: (store) => store.clear(),
  };
  const ids = ["a", "b", "c", "d", "anonymous", "new"];

  test.each(Object.entries(operations))("%s", async (_, operation) => {
    for (let requests = 0, isDead = true; isDead; requests++) {
      expect(requests).toBeLessThan(40);
      const namespace = freshNamespace();
      const witness = await open(namespace);
      for (const id of ["a", "b"]) await witness.create({ id, userId: "u", ...lifetime });
      for (const id of ["c", "d"]) await witness.create({ id, userId: "v", ...lifetime });
      await witness.create({ id: "anonymous", ...lifetime });
      const before = await alive(witness, ids);
      const held = await holdAfter(requests, server.url, namespace, operation);
      isDead = held.isHeld;
      if (requests === 0) expect(await alive(witness, ids)).toEqual(before);
      await judge(witness, `after ${requests} requests`);
      await held.close();
    }
  });

  async function judge(witness: SessionStore, explanation: string): Promise<void> {
    const records = await Promise.all(ids.map((id) => witness.get(id)));
    for (const userId of ["u", "v"]) {
      const theirs = records.flatMap((record) => (record?.userId === userId ? record : []));
      expect(idsOf(await witness.listByUser(userId)), explanation).toEqual(idsOf(theirs));
    }
    const ended = await witness.destroyByUser("u");
    expect(await witness.listByUser("u")).toEqual([]);
    for (const id of ended) expect(await witness.get(id)).toBeUndefined();
    expect((await witness.create({ id: "later", userId: "u", ...lifetime }, evictOldest)).status).toBe("created");
    expect(idsOf(await witness.listByUser("u"))).toEqual(["later"]);
  }

  test("leaves no session that comes back, or is lost, when its claims are over", async () => {
    const login = (store: SessionStore) => store.rename("anonymous", "new", { userId: "u" }, evictOldest);
    for (let requests = 0, isDead = true; isDead; requests++) {
      const namespace = freshNamespace();
      const witness = await open(namespace);
      for (const id of ["a", "b"]) await witness.create({ id, userId: "u", ...lifetime });
      await witness.create({ id: "anonymous", ...lifetime });
      const held = await holdAfter(requests, server.url, namespace, login);
      isDead = held.isHeld;
      const before = await alive(witness, ids);
      expect(await witness.update("b", { payload: "q" })).toMatchObject({ status: "updated" });
      const afterwards = await later(20_000, () => alive(witness, ids));
      expect(afterwards, `after ${requests} requests`).toEqual(before);
      // A session that was to make room can still be renamed.
      const outcome = await later(20_000, () => witness.rename("a", "c"));
      expect(outcome.status, `after ${requests} requests`).toBe(before.includes("a") ? "renamed" : "missing");
      await held.close();
    }
  });
});

describe("round trips", () => {
  const reject = { limit: { max: 2, whenReached: "reject" } } as const;
  const evictOldest = { limit: { max: 2, whenReached: "evictOldest" } } as const;
  const table: readonly [name: string, waits: number, operation: (store: SessionStore) => Promise<unknown>][] = [
    ["get, user known", 1, (store) => store.get("a")],
    ["get, user unknown", 2, (store) => store.get("stranger")],
    ["get, anonymous", 1, (store) => store.get("anonymous")],
    ["create", 2, (store) => store.create({ id: "new", userId: "u", ...lifetime })],
    ["create, anonymous", 2, (store) => store.create({ id: "new", ...lifetime })],
    ["create, refused", 3, (store) => store.create({ id: "new", userId: "u", ...lifetime }, reject)],
    ["create, evicting", 5, (store) => store.create({ id: "new", userId: "u", ...lifetime }, evictOldest)],
    ["update", 2, (store) => store.update("a", { payload: "q", idleMs: hour })],
    ["update, conflict", 1, (store) => store.update("a", { payload: "q" }, { expectedVersion: 9 })],
    ["update, to another user", 5, (store) => store.update("a", { userId: "v" })],
    ["touch", 2, (store) => store.touch("a", { idleMs: 2 * hour })],
    ["rename", 4, (store) => store.rename("a", "new")],
    ["rename, logging in", 4, (store) => store.rename("anonymous", "new", { userId: "w" })],
    ["rename, to another user", 5, (store) => store.rename("a", "new", { userId: "v" })],
    ["destroy", 3, (store) => store.destroy("a")],
    ["destroy, anonymous", 2, (store) => store.destroy("anonymous")],
    ["listByUser", 2, (store) => store.listByUser("u")],
    ["destroyByUser", 4, (store) => store.destroyByUser("u")],
    ["clear", 1, (store) => store.clear()],
  ];

  test.each(table)("%s: at most %i", async (_, waits, operation) => {
    const namespace = freshNamespace();
    const counters: WaitCounter[] = [];
    const other = await open(namespace);
    const store = await open(namespace, (client) => counters.push(new WaitCounter(client)));
    await other.create({ id: "stranger", userId: "s", ...lifetime });
    for (const id of ["a", "b"]) await store.create({ id, userId: "u", ...lifetime });
    await store.create({ id: "anonymous", ...lifetime });
    expect(await counters[0]?.count(() => operation(store))).toBeLessThanOrEqual(waits);
  });

  test("destroyByUser is effective after two", async () => {
    const namespace = freshNamespace();
    const witness = await open(namespace);
    await witness.create({ id: "a", userId: "u", ...lifetime });
    let sent = 0;
    const dead = new Promise<void>(() => {});
    // The user's item and the generation, then the one write.
    const step = (): Promise<void> => (sent++ < 3 ? Promise.resolve() : dead);
    const store = await open(namespace, (client) => void onEachRequest(client, step));
    store.destroyByUser("u").catch(() => {});
    while (sent <= 3) await sleep(1);
    expect(await witness.get("a")).toBeUndefined();
    expect(await witness.listByUser("u")).toEqual([]);
  });
});

test("sequence numbers of memjs start anew before they overflow", async () => {
  const client = clientOf(server.url);
  const store = await openOn(client, { namespace: freshNamespace() });
  opened.push(store);
  Object.assign(client, { seq: 2 ** 30 - 5 });
  for (let n = 0; n < 20; n++) {
    expect((await store.create({ id: `a${n}`, userId: "u", ...lifetime })).status).toBe("created");
  }
  expect(client.seq).toBeLessThan(1_000);
  expect(await store.listByUser("u")).toHaveLength(20);
});

test("scan rejects at its first step, and count", async () => {
  const store = await open(freshNamespace());
  const steps = store.scan()[Symbol.asyncIterator]();
  await expect(steps.next()).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
  await expect(store.count()).rejects.toSatisfy((error) => isSessionError(error, "NOT_SUPPORTED"));
});

test("close leaves a borrowed client open", async () => {
  const client = clientOf(server.url);
  const store = new MemcachedStore({ client, namespace: freshNamespace() });
  await store.create({ id: "a", ...lifetime });
  await store.close();
  await store.close();
  await expect(store.get("a")).rejects.toMatchObject({ code: "CLOSED" });
  expect(await client.set("still", "open", { expires: 5 })).toBe(true);
  client.close();
});
