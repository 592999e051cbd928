import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { startRedisCluster, type TestCluster } from "@sojourn/test-fixtures";
import { Cluster } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";
import { keyspace } from "../src/keys.js";
import { type Send, wrapClient } from "./wrapped-client.js";

let servers: TestCluster;
let client: Cluster;
beforeAll(async () => {
  servers = await startRedisCluster();
  client = new Cluster([...servers.startupNodes], { retryDelayOnFailover: 0 });
  // A node sees each script once for the first time: not while steps are counted.
  for (let n = 0; n < 20; n++) {
    const store = open(freshPrefix());
    await store.create(session("old", "u"));
    await store.rename("old", "new");
    await store.create(session("login", "u"), { limit: { max: 1, whenReached: "evictOldest" } });
    await store.destroyByUser("u");
  }
});
afterAll(async () => {
  client.disconnect();
  await servers.stop();
});

const hour = 3_600_000;
const session = (id: string, userId?: string) => ({ id, userId, payload: `of ${id}`, idleMs: hour, absoluteMs: hour });
const freshPrefix = (): string => randomBytes(6).toString("hex");
const open = (prefix: string, around?: (command: string, send: Send) => Promise<unknown>): RedisStore =>
  new RedisStore({
    client: around === undefined ? client : wrapClient(client, around, true),
    duplicate: false,
    prefix,
    timeoutMs: 10_000,
  });

/** Runs `meanwhile` before each command of a rename in turn, in a fresh namespace each time. */
async function atEachStep(
  visit: (namespace: { store: RedisStore; prefix: string; rename: Promise<unknown>; step: number }) => Promise<void>,
  rename: (store: RedisStore) => Promise<unknown>,
): Promise<number> {
  for (let step = 1; ; step++) {
    const prefix = freshPrefix();
    const store = open(prefix);
    await store.create(session("old", "u"));
    await store.create(session("anonymous"));
    let left = step;
    let reach = (): void => undefined;
    let release = (): void => undefined;
    const reached = new Promise<void>((resolve) => {
      reach = resolve;
    });
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const held = open(prefix, async (command, send) => {
      const isFirstSight = !command.startsWith("EVAL");
      if (command !== "INFO" && !isFirstSight && --left === 0) {
        reach();
        await released;
      }
      return send();
    });
    const renaming = rename(held);
    const isHeld = await Promise.race([reached.then(() => true), renaming.then(() => false)]);
    if (!isHeld) return step - 1;
    const visiting = visit({ store, prefix, rename: renaming, step });
    // The visit looks before and after; in between the rename goes on.
    await delay(5);
    release();
    await visiting;
  }
}

describe("a rename on a Cluster", () => {
  it.each([
    ["of a user's session", "old", (store: RedisStore) => store.rename("old", "new")],
    ["at login", "anonymous", (store: RedisStore) => store.rename("anonymous", "new", { userId: "u" })],
  ])("%s that answers missing never shows its new id, whenever the session is destroyed", async (_what, id, rename) => {
    const outcomes: unknown[] = [];
    const steps = await atEachStep(async ({ store, rename: renaming, step }) => {
      const destroyed = await store.destroy(id);
      let isOver = false;
      const outcome = renaming.then((result) => {
        isOver = true;
        return result;
      });
      const seen: boolean[] = [];
      while (!isOver) {
        const [record, listed] = await Promise.all([store.get("new"), store.listByUser("u")]);
        seen.push(record !== undefined || listed.some((each) => each.id === "new"));
      }
      const { status } = (await outcome) as { status: string };
      outcomes.push(status);
      // Exactly one of both had the session.
      expect(status, `step ${step}`).toBe(destroyed === undefined ? "renamed" : "missing");
      if (status === "missing") expect(seen, `step ${step}`).not.toContain(true);
      expect((await store.get("new"))?.id, `step ${step}`).toBe(status === "renamed" ? "new" : undefined);
    }, rename);
    expect(steps).toBeGreaterThanOrEqual(4);
    expect(new Set(outcomes)).toEqual(new Set(["missing", "renamed"]));
  });

  it("is readable under one id at any moment, and listed once", async () => {
    const steps = await atEachStep(
      async ({ store, rename: renaming, step }) => {
        let isOver = false;
        const outcome = renaming.then(() => {
          isOver = true;
        });
        do {
          const old = await store.get("old");
          const found = old ?? (await store.get("new"));
          expect(found?.payload, `step ${step}`).toBe("of old");
          expect(await store.listByUser("u"), `step ${step}`).toHaveLength(1);
        } while (!isOver);
        await outcome;
      },
      (store) => store.rename("old", "new"),
    );
    expect(steps).toBeGreaterThanOrEqual(5);
  });

  it("whose process dies at any step leaves one session under one id", async () => {
    for (let commands = 1; ; commands++) {
      const prefix = freshPrefix();
      const store = open(prefix);
      await store.create(session("old", "u"));
      let left = commands;
      const mortal = open(prefix, (command, send) => {
        if (command === "INFO" || left-- > 0) return send();
        return Promise.reject(new Error("this process is gone"));
      });
      const isFinished = await mortal.rename("old", "new").then(
        () => true,
        () => false,
      );
      const alive = (await Promise.all(["old", "new"].map((id) => store.get(id)))).flatMap((each) => each?.id ?? []);
      expect(alive, `after ${commands} commands`).toHaveLength(1);
      expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(alive);
      expect(await store.destroyByUser("u")).toEqual(alive);
      expect(await store.get("old")).toBeUndefined();
      expect(await store.get("new")).toBeUndefined();
      if (isFinished) return expect(commands).toBeGreaterThan(5);
    }
  });

  it("counts as one session while it lies under both ids", async () => {
    const limit = { max: 2, whenReached: "evictOldest" } as const;
    await atEachStep(
      async ({ store, rename: renaming, step }) => {
        const login = await store.create(session("login", "u"), { limit });
        expect(login, `step ${step}`).toMatchObject({ status: "created", evicted: [] });
        expect(await renaming).toMatchObject({ status: "renamed" });
        expect((await store.listByUser("u")).map(({ id }) => id).sort()).toEqual(["login", "new"]);
      },
      (store) => store.rename("old", "new"),
    );
  });

  it("takes a value that an older release has appended to for a tombstone", async () => {
    const prefix = freshPrefix();
    const store = open(prefix);
    await store.create(session("old", "u"));
    let left = 3;
    const mortal = open(prefix, (command, send) => {
      if (command === "INFO" || left-- > 0) return send();
      return Promise.reject(new Error("this process is gone"));
    });
    await expect(mortal.rename("old", "new")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const key = `${keyspace(prefix).sessionPrefix}new`;
    expect(await client.getrange(key, 0, 1)).toBe("TA");
    await client.append(key, "0".repeat(25));
    expect(await store.get("new")).toBeUndefined();
    expect(await store.create(session("new"))).toMatchObject({ status: "created" });
  });
});

describe("evicted", () => {
  it.each([
    ["destroyed", (store: RedisStore) => store.destroy("victim")],
    ["given to another user", (store: RedisStore) => store.update("victim", { userId: "v" })],
    ["renamed", (store: RedisStore) => store.rename("victim", "moved")],
    ["logged out", (store: RedisStore) => store.destroyByUser("u")],
    ["listed", (store: RedisStore) => store.listByUser("u")],
  ])("names the sessions that the call ended, when the oldest is %s meanwhile", async (_what, act) => {
    const limit = { max: 1, whenReached: "evictOldest" } as const;
    let evictions = 0;
    for (let round = 0; round < 60; round++) {
      const prefix = freshPrefix();
      const store = open(prefix);
      const jitter = (): RedisStore =>
        open(prefix, async (command, send) => {
          if (command !== "INFO") await delay(Math.random() * 3);
          return send();
        });
      await store.create(session("victim", "u"));
      const [login, acted] = await Promise.all([
        jitter().create(session("login", "u"), { limit }),
        act(jitter()) as Promise<unknown>,
      ]);
      const evicted = login.status === "created" ? login.evicted : [];
      evictions += evicted.length;
      const alive = (await Promise.all(["victim", "moved"].map((id) => store.get(id)))).flatMap((each) => each ?? []);
      // Ended by the login, or by the other call, or alive: one of these.
      const { status } = (acted ?? {}) as { status?: string };
      const endedByOther = Array.isArray(acted)
        ? acted.includes("victim")
        : typeof acted === "object" && acted !== null && "id" in acted;
      const fates = [evicted.length > 0, endedByOther, alive.length > 0].filter(Boolean);
      expect(fates, `round ${round}: ${JSON.stringify({ evicted, acted, alive, status })}`).toHaveLength(1);
      for (const { userId } of alive) expect(userId).toBe("v");
    }
    console.log(`${_what}: ${evictions} of 60 evicted`);
  });
});
