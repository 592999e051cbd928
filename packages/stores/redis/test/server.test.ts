import { type ResolvedServer, resolveRedis } from "@sojourn/test-fixtures";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RedisStore } from "../src/index.js";

const hour = 3_600_000;
const session = (id: string, userId?: string) => ({ id, userId, payload: "p", idleMs: hour, absoluteMs: 2 * hour });

let server: ResolvedServer;
let client: Redis;
let store: RedisStore;
let run = 0;
beforeAll(async () => {
  server = await resolveRedis();
  // The store uses it as it is, so that its bytes can be counted.
  client = new Redis(server.url, { autoResendUnfulfilledCommands: false });
});
beforeEach(() => {
  store = new RedisStore({ client, duplicate: false, prefix: `server ${process.pid} ${run++}`, timeoutMs: 60_000 });
});
afterAll(async () => {
  client.disconnect();
  await server.stop();
});

/** How often clients have sent each command. What scripts call counts too, so only whole operations are looked at. */
async function commandCounts(): Promise<Map<string, number>> {
  const stats = await client.info("commandstats");
  return new Map(
    [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name = "", calls]) => [name, Number(calls)]),
  );
}

describe("round trips, by the server's own count", () => {
  it.each<[string, (n: number) => Promise<unknown>]>([
    ["create", (n) => store.create(session(`new ${n}`, "u"))],
    ["update", (n) => store.update(`s${n}`, { payload: "q" }, { expectedVersion: 1 })],
    ["touch", (n) => store.touch(`s${n}`, { idleMs: 2 * hour })],
    [
      "rename",
      (n) => store.rename(`s${n}`, `r${n}`, { userId: "v" }, { limit: { max: 9, whenReached: "evictOldest" } }),
    ],
    ["destroy", (n) => store.destroy(`s${n}`)],
    ["listByUser", () => store.listByUser("u")],
    ["destroyByUser", (n) => store.destroyByUser(`u${n}`)],
  ])("%s is one script", async (_name, operation) => {
    for (let n = 0; n <= 20; n++) await store.create(session(`s${n}`, "u"));
    await operation(0);
    const before = await commandCounts();
    for (let n = 1; n <= 20; n++) await operation(n);
    const after = await commandCounts();
    expect((after.get("evalsha") ?? 0) - (before.get("evalsha") ?? 0)).toBe(20);
    expect(after.get("eval")).toBe(before.get("eval"));
  });

  it("get is one GET, and asks for the time once a second at most", async () => {
    await store.create(session("a", "u"));
    await store.get("a");
    const before = await commandCounts();
    for (let n = 0; n < 200; n++) expect((await store.get("a"))?.id).toBe("a");
    const after = await commandCounts();
    expect((after.get("get") ?? 0) - (before.get("get") ?? 0)).toBe(200);
    expect(after.get("evalsha")).toBe(before.get("evalsha"));
  });

  it("nothing walks by KEYS", async () => {
    await store.create(session("a", "u"));
    for await (const _ of store.scan());
    await store.count();
    await store.clear();
    expect((await commandCounts()).get("keys") ?? 0).toBe(0);
  });
});

describe("what is stored", () => {
  it("is gone without any call when it has expired, index included", async () => {
    const keysOfStore = async (): Promise<number> => {
      let found = 0;
      for await (const keys of client.scanStream({ match: `server ${process.pid} ${run - 1}#*`, count: 1_000 })) {
        found += keys.length;
      }
      return found;
    };
    const lifetimeMs = 1_500;
    await store.create(session("control", "u"));
    expect(await keysOfStore()).toBe(2);
    await store.destroy("control");
    const creating = Array.from({ length: 10_000 }, (_, n) =>
      store.create({ ...session(`s${n}`, `u${n % 50}`), idleMs: lifetimeMs }),
    );
    await Promise.all(creating);
    await new Promise((resolve) => setTimeout(resolve, lifetimeMs));
    await expect.poll(keysOfStore).toBe(0);
  });

  it("holds one key per session and one per user, each with an expiry", async () => {
    const prefix = `server ${process.pid} ${run - 1}`;
    await store.create(session("a", "u"));
    await store.create(session("b", "u"));
    expect(await client.pttl(`${prefix}#s:a`)).toBeGreaterThan(hour / 2);
    await store.touch("a", { idleMs: 2 * hour });
    expect(await client.pttl(`${prefix}#u:u`)).toBeGreaterThan(1.5 * hour);
    expect(await client.zcard(`${prefix}#u:u`)).toBe(2);
    await store.destroyByUser("u");
    expect(await client.exists(`${prefix}#s:a`, `${prefix}#s:b`, `${prefix}#u:u`)).toBe(0);
  });

  it("forgives a record that the server has evicted: it is not listed and takes no place", async () => {
    const prefix = `server ${process.pid} ${run - 1}`;
    await store.create(session("a", "u"));
    await store.create(session("b", "u"));
    await client.del(`${prefix}#s:a`);
    expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["b"]);
    await store.create(session("c", "u"));
    await client.del(`${prefix}#s:b`);
    const limit = { max: 2, whenReached: "reject" } as const;
    expect((await store.create(session("d", "u"), { limit })).status).toBe("created");
    await client.del(`${prefix}#u:u`);
    // The next touch that moves the deadline puts it back.
    expect(await store.touch("c", { idleMs: hour + 1_000 })).toBe(true);
    expect((await store.listByUser("u")).map(({ id }) => id)).toEqual(["c"]);
  });
});

describe("bytes on the wire", () => {
  const size = 10_000;
  const big = (letter: string): string => letter.repeat(size);
  /** Beside the payload: ids, times, framing. */
  const little = 400;

  it.each<[string, (id: string) => Promise<unknown>, sent: number, received: number]>([
    [
      "create sends the payload and gets none back",
      (id) => store.create({ ...session(`new ${id}`, "u"), payload: big("q") }),
      size,
      0,
    ],
    ["get receives it once", (id) => store.get(id), 0, size],
    [
      "update sends it once and gets none back",
      (id) => store.update(id, { payload: big("q"), idleMs: hour }, { expectedVersion: 1 }),
      size,
      0,
    ],
    [
      "a conflict receives the one that won",
      (id) => store.update(id, { payload: "q" }, { expectedVersion: 7 }),
      0,
      size,
    ],
    ["touch moves none", (id) => store.touch(id, { idleMs: 2 * hour }), 0, 0],
    ["destroy moves none", (id) => store.destroy(id), 0, 0],
  ])("%s", async (_what, operation, sent, received) => {
    // Once before: a server is sent each script once.
    for (const id of ["before", "a"]) await store.create({ ...session(id, "u"), payload: big("p") });
    await operation("before");
    const { bytesWritten, bytesRead } = client.stream;
    await operation("a");
    const moved = [client.stream.bytesWritten - bytesWritten - sent, client.stream.bytesRead - bytesRead - received];
    for (const rest of moved) expect(rest).toBeGreaterThan(0);
    for (const rest of moved) expect(rest).toBeLessThan(little);
  });

  it("reads of one tick are one command, in one piece", async () => {
    const ids = Array.from({ length: 64 }, (_, n) => `s${n}`);
    for (const id of ids) await store.create(session(id));
    await store.get("s0");
    const before = await commandCounts();
    const { bytesWritten } = client.stream;
    const records = await Promise.all(ids.map((id) => store.get(id)));
    const bytes = client.stream.bytesWritten - bytesWritten;
    expect(records.map((record) => record?.id)).toEqual(ids);
    const after = await commandCounts();
    expect((after.get("mget") ?? 0) - (before.get("mget") ?? 0)).toBe(1);
    expect(after.get("get")).toBe(before.get("get"));
    expect(bytes).toBeLessThan(64 * 48);
  });

  it("a key of another type fails its own read, also among others, and a miss is none", async () => {
    await store.create(session("a"));
    await client.hset(`server ${process.pid} ${run - 1}#s:b`, "field", "value");
    const reads = await Promise.allSettled(["a", "b", "c"].map((id) => store.get(id)));
    expect(reads).toMatchObject([
      { status: "fulfilled", value: { id: "a" } },
      { status: "rejected", reason: { code: "CORRUPT" } },
      { status: "fulfilled", value: undefined },
    ]);
  });
});
