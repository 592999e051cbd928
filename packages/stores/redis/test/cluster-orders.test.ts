import { randomBytes } from "node:crypto";
import { startRedisCluster, type TestCluster } from "@sojourn/test-fixtures";
import { Cluster } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";
import { keyspace } from "../src/keys.js";
import { wrapClient } from "./wrapped-client.js";

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
const session = (id: string, userId: string) => ({ id, userId, payload: `of ${id}`, idleMs: hour, absoluteMs: hour });
const freshPrefix = (): string => randomBytes(6).toString("hex");
const open = (prefix: string): RedisStore => new RedisStore({ client, prefix, timeoutMs: 10_000 });

/** A store that stops when so many of its commands have been answered, until it is let go. */
function openHeld(prefix: string, answered: number) {
  let reach = (): void => undefined;
  let release = (): void => undefined;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let left = answered;
  const held = wrapClient(client, async (command, send) => {
    // One that fails is a script that the node has yet to be sent.
    const reply = await send();
    if (command === "INFO" || --left !== 0) return reply;
    reach();
    await released;
    return reply;
  });
  return { store: new RedisStore({ client: held, prefix, timeoutMs: 30_000 }), reached, release };
}

it("logs out a session that was to make room for one that came to nothing, and is renamed meanwhile", async () => {
  const prefix = freshPrefix();
  const store = open(prefix);
  await store.create(session("taken", "v"));
  await store.create(session("old", "u"));

  const login = openHeld(prefix, 1);
  const loggingIn = login.store.create(session("taken", "u"), { limit: { max: 1, whenReached: "evictOldest" } });
  await login.reached;
  const logout = openHeld(prefix, 1);
  const loggingOut = logout.store.destroyByUser("u");
  await logout.reached;
  login.release();
  expect((await loggingIn).status).toBe("duplicate");
  await store.rename("old", "new");
  logout.release();
  await loggingOut;

  expect(await store.get("old")).toBeUndefined();
  expect(await store.get("new")).toBeUndefined();
  expect(await store.listByUser("u")).toEqual([]);
});

it.each(["update", "update to another user", "touch"])(
  "gives a rename up that a late %s has overtaken",
  async (write) => {
    const prefix = freshPrefix();
    const store = open(prefix);
    await store.create(session("old", "u"));

    const { store: sleeper, reached, release } = openHeld(prefix, 3);
    const renaming = expect(sleeper.rename("old", "new")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await reached;
    // As after ten seconds: the claim has run out.
    await client.setrange(`${keyspace(prefix).sessionPrefix}old`, 115, "0".repeat(13));
    if (write === "touch") expect(await store.touch("old", { idleMs: hour, shorten: true })).toBe(true);
    else {
      const change = write === "update" ? { payload: "written" } : { payload: "written", userId: "v" };
      expect((await store.update("old", change)).status).toBe("updated");
    }
    const written = await store.get("old");
    release();
    await renaming;

    expect(await store.get("new")).toBeUndefined();
    const left = await store.get("old");
    expect({ ...left, now: 0 }).toEqual({ ...written, now: 0 });
    const listed = [...(await store.listByUser("u")), ...(await store.listByUser("v"))];
    expect(listed.map(({ id }) => id)).toEqual(["old"]);
  },
);

it.each(["text that is no record", "a list"])(
  "keeps %s in lists after a log-out, and no place in the limit",
  async (kind) => {
    const prefix = freshPrefix();
    const store = open(prefix);
    const key = `${keyspace(prefix).sessionPrefix}corrupt`;
    for (const id of ["corrupt", "other"]) await store.create(session(id, "u"));
    if (kind === "a list") {
      await client.del(key);
      await client.rpush(key, "x");
      await client.expire(key, 3_600);
    } else await client.set(key, "not a record", "KEEPTTL");

    const limit = { max: 2, whenReached: "reject" } as const;
    expect((await store.create(session("full", "u"), { limit })).status).toBe("limitReached");
    expect(await store.destroyByUser("u")).toEqual(["other"]);
    for (let n = 0; n < 2; n++) {
      const reported: string[] = [];
      expect(await store.listByUser("u", { onCorrupt: ({ code }) => reported.push(code) })).toEqual([]);
      expect(reported).toEqual(["CORRUPT"]);
    }
    expect(await store.destroyByUser("u")).toEqual([]);
    await expect(store.get("corrupt")).rejects.toMatchObject({ code: "CORRUPT" });
    expect(await store.count()).toEqual({ sessions: 0, sessionsWithUser: 0, users: 0 });
    // Whichever way the record goes, its place goes with it.
    if (kind === "a list") await store.clear();
    else await client.del(key);
    expect(await store.listByUser("u")).toEqual([]);
    expect(await client.exists(`${keyspace(prefix).userPrefix}u`)).toBe(0);
  },
);

it("works through a client that pipelines automatically", async () => {
  const automatic = new Cluster([...servers.startupNodes], { enableAutoPipelining: true });
  const store = new RedisStore({ client: automatic, prefix: freshPrefix(), timeoutMs: 10_000 });
  await Promise.all(["a", "b", "c"].map((id) => store.create(session(id, "u"))));
  expect((await store.listByUser("u")).length).toBe(3);
  expect(await store.count()).toEqual({ sessions: 3, sessionsWithUser: 3, users: 1 });
  automatic.disconnect();
});
