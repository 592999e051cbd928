import { randomBytes } from "node:crypto";
import type { SessionStore } from "@sojourn/core";
import { startRedisCluster, type TestCluster } from "@sojourn/test-fixtures";
import { Cluster } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";
import { type Send, wrapClient } from "./wrapped-client.js";

let servers: TestCluster;
let client: Cluster;
beforeAll(async () => {
  servers = await startRedisCluster();
  client = new Cluster([...servers.startupNodes]);
  await client.ping();
});
afterAll(async () => {
  client.disconnect();
  await servers.stop();
});

const hour = 3_600_000;
const session = (id: string, userId?: string) => ({ id, userId, payload: `of ${id}`, idleMs: hour, absoluteMs: hour });
const freshPrefix = (): string => randomBytes(6).toString("hex");
const open = (prefix: string, around?: (command: string, send: Send) => Promise<unknown>): RedisStore =>
  new RedisStore({ client: around === undefined ? client : wrapClient(client, around), prefix, timeoutMs: 10_000 });

class Crash extends Error {}

/**
 * The end of a process after so many commands: the next one is never sent, or is sent and its answer never seen, and
 * nothing follows.
 */
function crashAfter(commands: number, lastIsSent: boolean): (command: string, send: Send) => Promise<unknown> {
  let left = commands;
  return async (command, send) => {
    if (command === "INFO") return send();
    if (left-- > 0) return send();
    if (lastIsSent && left === -1) await send();
    throw new Crash("this process is gone");
  };
}

/** What a process may be doing when it dies, to session "a" of user "u" and with "b" beside it. */
const operations: Readonly<Record<string, (store: SessionStore) => Promise<unknown>>> = {
  create: (store) => store.create(session("c", "u")),
  "create, evicting": (store) => store.create(session("c", "u"), { limit: { max: 1, whenReached: "evictOldest" } }),
  touch: (store) => store.touch("a", { idleMs: hour / 2 }),
  update: (store) => store.update("a", { payload: "new", idleMs: hour / 2 }),
  "update to another user": (store) => store.update("a", { userId: "v" }),
  "update to another user, evicting": (store) =>
    store.update("anonymous", { userId: "u" }, { limit: { max: 1, whenReached: "evictOldest" } }),
  "update to nobody": (store) => store.update("a", { userId: null }),
  rename: (store) => store.rename("a", "c"),
  "rename to another user": (store) => store.rename("a", "c", { userId: "v", payload: "new" }),
  "rename at login, evicting": (store) =>
    store.rename("anonymous", "c", { userId: "u" }, { limit: { max: 1, whenReached: "evictOldest" } }),
  destroy: (store) => store.destroy("a"),
  destroyByUser: (store) => store.destroyByUser("u"),
  "destroyByUser but one": (store) => store.destroyByUser("u", { except: "b" }),
  listByUser: (store) => store.listByUser("u"),
  clear: (store) => store.clear(),
};
const ids = ["a", "b", "c", "anonymous"];
const users = ["u", "v"];

describe.each(Object.entries(operations))("a process that dies in the middle of %s", (_name, operation) => {
  it.each([
    ["before a command is sent", false],
    ["before its answer is seen", true],
  ])("%s leaves no session that is alive and unlisted, at any step", async (_when, lastIsSent) => {
    let steps = 0;
    for (let finished = false; !finished; steps++) {
      const prefix = freshPrefix();
      const store = open(prefix);
      await store.create(session("a", "u"));
      await store.create(session("b", "u"));
      await store.create(session("anonymous"));
      finished = await operation(open(prefix, crashAfter(steps, lastIsSent))).then(
        () => true,
        (error) => {
          expect(String(error.cause)).toContain("this process is gone");
          return false;
        },
      );
      const step = `after ${steps} commands`;
      await expectListedIsAlive(store, step);
      // Life goes on: a login, a log-out of everybody, and nothing of theirs is left.
      expect((await store.create(session("later", "u"))).status, step).toBe("created");
      await expectListedIsAlive(store, step);
      for (const userId of users) await store.destroyByUser(userId);
      for (const id of [...ids, "later"]) expect((await store.get(id))?.userId, `${id} ${step}`).toBeUndefined();
      for (const userId of users) expect(await store.listByUser(userId), step).toEqual([]);
    }
    expect(steps).toBeGreaterThan(1);
  });
});

describe("many processes, some of which die at any step", () => {
  it("never leave a session that is alive and unlisted, nor one that a log-out should have ended", async () => {
    let crashes = 0;
    const crashSometimes = async (command: string, send: Send): Promise<unknown> => {
      if (command === "INFO") return send();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
      if (Math.random() < 0.02) throw new Crash(`gone before ${crashes++}`);
      const reply = await send();
      if (Math.random() < 0.02) throw new Crash(`gone after ${crashes++}`);
      return reply;
    };
    for (let round = 0; round < 60; round++) {
      const prefix = freshPrefix();
      const store = open(prefix);
      const names = Array.from({ length: 8 }, (_, n) => `s${n}`);
      await Promise.all(names.map((id, n) => store.create(session(id, n % 2 === 0 ? "u" : undefined))));
      const acts = names.flatMap((id, n) => [
        () => open(prefix, crashSometimes).rename(id, `r${n}`, n % 2 === 0 ? {} : { userId: "u" }),
        () => open(prefix, crashSometimes).rename(id, `q${n}`),
        () => open(prefix, crashSometimes).update(id, { userId: n % 3 === 0 ? "v" : "u" }),
        () => open(prefix, crashSometimes).touch(id, { idleMs: hour / 2 }),
        () => open(prefix, crashSometimes).create(session(`new${n}`, "u")),
        ...(n === 0 ? [() => open(prefix, crashSometimes).destroyByUser("u")] : []),
        ...(n === 1 ? [() => open(prefix, crashSometimes).destroy(id)] : []),
        ...(n === 2 ? [() => open(prefix, crashSometimes).listByUser("u")] : []),
      ]);
      await Promise.all(acts.map((act) => act().catch(() => undefined)));
      const all = names.flatMap((id, n) => [id, `r${n}`, `q${n}`, `new${n}`]);
      await expectListedIsAlive(store, `round ${round}`, all);
      for (const userId of users) await store.destroyByUser(userId);
      for (const id of all) expect((await store.get(id))?.userId).toBeUndefined();
    }
    console.log(`${crashes} crashes injected`);
    expect(crashes).toBeGreaterThan(100);
  });
});

describe("keys on a Cluster", () => {
  it("are named one at a time, whatever the operation", async () => {
    const prefix = freshPrefix();
    const several: string[] = [];
    const watched: RedisStore = open(prefix);
    expect(watched.capabilities).toMatchObject({ userIndex: "eventual", limit: "settled" });
    const spy = new RedisStore({
      prefix,
      timeoutMs: 10_000,
      client: Object.assign(
        wrapClient(client, (_command, send) => send()),
        {
          callBuffer: (command: string, args: (string | Buffer | number)[]) => {
            if (command.startsWith("EVAL") && args[1] !== 1) several.push(command);
            if (["MGET", "DEL", "UNLINK", "EXISTS", "RENAME"].includes(command)) several.push(command);
            return client.callBuffer(command, args);
          },
        },
      ),
    });
    for (const operation of Object.values(operations)) {
      await spy.create(session("a", "u"));
      await spy.create(session("b", "u"));
      await spy.create(session("anonymous"));
      await operation(spy);
      for await (const _ of spy.scan());
      await spy.count();
    }
    expect(several).toEqual([]);
  });

  it("of one slot run the atomic scripts, and need a hash tag", async () => {
    const store = new RedisStore({ client, prefix: "{tag}", singleSlot: true });
    expect(store.capabilities).toMatchObject({ userIndex: "atomic", limit: "atomic" });
    expect(() => new RedisStore({ client, prefix: "tag", singleSlot: true })).toThrow(/hash tag/);
  });
});

/** Each session that reads as a user's is in that user's list, and the other way round. */
async function expectListedIsAlive(store: SessionStore, when: string, all: readonly string[] = [...ids, "later"]) {
  const listed = new Set<string>();
  for (const userId of users) {
    for (const record of await store.listByUser(userId)) listed.add(`${record.id} of ${record.userId}`);
  }
  const alive = new Set<string>();
  for (const id of all) {
    const record = await store.get(id);
    if (record?.userId !== undefined) alive.add(`${id} of ${record.userId}`);
  }
  expect([...alive].sort(), when).toEqual([...listed].sort());
}
