import { PostgresStore, type PostgresUrlOptions } from "@sojourn/postgres";
import { startFilteredProxy, startPostgres, startTcpProxy, whyNoPacketFilter } from "@sojourn/test-fixtures";
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";
import { openPool, openStore } from "./harness.js";

/*
 * Connections that go silent, as behind a firewall that forgets them, and connections that break. New connections pass.
 */

const server = await startPostgres();
const pool = openPool(server.url);
await openStore({ pool, table: "silent" });
afterAll(async () => {
  await pool.end();
  await server.stop();
});

const minute = 60_000;
const timeoutMs = 1_000;
const connections = 10;
const session = { id: "a", payload: "p", idleMs: minute, absoluteMs: minute };
await new PostgresStore({ pool, table: "silent" }).create(session);

interface Silence {
  readonly url: string;
  /** Makes the connections that are open now silent. */
  begin(): Promise<void> | void;
  stop(): Promise<void>;
}

async function freezing(): Promise<Silence> {
  const proxy = await startTcpProxy(server.url);
  return { url: proxy.url, begin: () => proxy.freeze(), stop: () => proxy.stop() };
}

async function filtering(): Promise<Silence> {
  const filtered = await startFilteredProxy(server.url);
  return { url: filtered.url, begin: () => filtered.dropPackets(), stop: () => filtered.stop() };
}

/** Opens every connection of a store's pool. Each count is a statement of its own. */
async function warm(store: PostgresStore): Promise<void> {
  await Promise.all(Array.from({ length: connections }, () => store.count({ timeoutMs: minute })));
}

/** Calls one after the other until one is answered. Returns how many failed, and how long that took. */
async function untilAnswered(call: () => Promise<unknown>): Promise<{ failed: number; ms: number }> {
  const began = performance.now();
  for (let failed = 0; ; failed++) {
    const outcome = await call().catch((error: { code: string }) => error);
    if (!(outcome instanceof Error)) return { failed, ms: performance.now() - began };
    expect(outcome).toMatchObject({ code: "TIMEOUT" });
  }
}

const whyNot = whyNoPacketFilter();
const silences: readonly [string, () => Promise<Silence>, string | undefined][] = [
  ["a proxy that freezes them", freezing, undefined],
  ["a packet filter that drops their packets", filtering, whyNot],
];

describe.each(silences)("all connections of the pool go silent: %s", (name, start, whySkipped) => {
  const kinds: readonly [string, (url: string) => PostgresStore][] = [
    ["the store's own pool", (url) => PostgresStore.fromUrl(url, { table: "silent", timeoutMs })],
    [
      "a pool handed in",
      (url) => {
        const theirs = openPool(url, { max: connections, connectionTimeoutMillis: timeoutMs });
        return new PostgresStore({ pool: theirs, table: "silent", timeoutMs });
      },
    ],
  ];

  test.skipIf(whySkipped !== undefined).each(kinds)(
    `one caller at a time meets one timeout: %s${whySkipped === undefined ? "" : ` (${whySkipped})`}`,
    async (kind, open) => {
      const silence = await start();
      const store = open(silence.url);
      try {
        await warm(store);
        await silence.begin();
        const { failed, ms } = await untilAnswered(() => store.get("a"));
        console.log(`${name}, ${kind}: ${failed} failed, first answer after ${Math.round(ms)} ms`);
        expect(failed).toBe(1);
        expect(ms).toBeLessThan(2 * timeoutMs);
        await warm(store);
      } finally {
        await store.close();
        await silence.stop();
      }
    },
  );
});

test("a timeout caused by a lock closes no connection that has answered since", async () => {
  const theirs = openPool(server.url, { max: 2 });
  let opened = 0;
  theirs.on("connect", () => {
    opened += 1;
  });
  const store = new PostgresStore({ pool: theirs, table: "silent", timeoutMs: 300 });
  const holder = await pool.connect();
  await holder.query("BEGIN; SELECT FROM silent WHERE id = 'a' FOR UPDATE");
  const stuck = store.touch("a", { idleMs: minute }).catch((error: unknown) => error);
  let isStuck = true;
  void stuck.then(() => {
    isStuck = false;
  });
  while (isStuck) await store.get("a");
  await holder.query("ROLLBACK");
  holder.release();
  expect(await stuck).toMatchObject({ code: "TIMEOUT" });
  for (let n = 0; n < 20; n++) await store.get("a");
  expect(opened).toBe(2);
  await theirs.end();
});

describe("a connection that breaks", () => {
  const open = (url: string, options: PostgresUrlOptions = {}) =>
    PostgresStore.fromUrl(url, { table: "silent", timeoutMs: 10_000, ...options });

  test.each(["close", "reset"] as const)("under a read: %s: the read is sent once more, and answered", async (how) => {
    const proxy = await startTcpProxy(server.url);
    const store = open(proxy.url, { driverOptions: { max: 1 } });
    await store.get("a");
    proxy.cutNextAnswer(how, 0);
    expect(await store.get("a")).toMatchObject({ id: "a" });
    await store.close();
    await proxy.stop();
  });

  test("under a read, of a server that is gone: UNAVAILABLE at once", async () => {
    const proxy = await startTcpProxy(server.url);
    const store = open(proxy.url, { driverOptions: { max: 1 } });
    await store.get("a");
    const holder = await pool.connect();
    await holder.query("BEGIN; LOCK TABLE silent");
    const began = performance.now();
    const reading = store.get("a").catch((error: unknown) => error);
    const waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    await expect.poll(async () => (await pool.query(waiting)).rowCount).toBe(1);
    await proxy.stop();
    expect(await reading).toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
    expect(performance.now() - began).toBeLessThan(9_000);
    await holder.query("ROLLBACK");
    holder.release();
    await store.close();
  });

  test("under a write: it is not sent again, and its outcome is unknown", async () => {
    const proxy = await startTcpProxy(server.url);
    const store = open(proxy.url, { driverOptions: { max: 1 } });
    await store.create({ ...session, id: "w" });
    proxy.cutNextAnswer("reset", 0);
    await expect(store.update("w", { payload: "q" })).rejects.toMatchObject({
      code: "UNAVAILABLE",
      outcomeUnknown: true,
    });
    expect(await store.get("w")).toMatchObject({ payload: "q", version: 2 });
    await store.close();
    await proxy.stop();
  });
});

test("after a failover, the connection to the demoted server is dropped and the next one reaches the primary", async () => {
  // The server refuses writes as a standby does, until the setting is taken back; new connections see the new setting.
  const client = new pg.Client(server.url);
  await client.connect();
  const store = PostgresStore.fromUrl(`${server.url}?application_name=failover`, {
    table: "silent",
    timeoutMs: 10_000,
  });
  await client.query("ALTER DATABASE postgres SET default_transaction_read_only = on");
  const refused = { code: "UNAVAILABLE", retryable: true, outcomeUnknown: false };
  await expect(store.touch("a", { idleMs: minute })).rejects.toMatchObject(refused);
  await client.query(
    "SET default_transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only",
  );
  expect(await store.touch("a", { idleMs: minute })).toBe(true);
  await store.close();
  await client.end();
});
