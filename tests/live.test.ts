import { SessionManager } from "@sojourn/core";
import { LiveSessions } from "@sojourn/live";
import { RedisBus, RedisStore } from "@sojourn/redis";
import { startRedis, startTcpProxy } from "@sojourn/test-fixtures";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { closed, open, serve } from "../packages/live/test/socket-server.js";

const server = await startRedis();
/** Carries the connections of the buses. */
const proxy = await startTcpProxy(server.url);
afterAll(async () => {
  await proxy.stop();
  await server.stop();
});
/** Patient: a busy machine is no outage. */
const timeoutMs = 20_000;

/** A node with connections of its own. No session is read again by time. */
async function openNode(prefix: string) {
  const bus = RedisBus.fromUrl(proxy.url, { prefix, timeoutMs });
  const store = RedisStore.fromUrl(server.url, { prefix, timeoutMs, announce: true });
  const sessions = new SessionManager({ store });
  const live = new LiveSessions({ sessions, bus, maxStale: "1h" });
  onTestFinished(async () => {
    live.close();
    await Promise.all([sessions.close(), bus.close()]);
  });
  await expect.poll(() => live.statistics().isConnected).toBe(true);
  return { sessions, live, ...(await serve({ sessions, live })) };
}

test.each([
  ["up", () => {}],
  ["cut right before", () => proxy.cut("reset")],
])("120 sockets on three nodes of Redis are closed by one log-out-everywhere, its bus %s", async (state, disturb) => {
  const nodes = await Promise.all([1, 2, 3].map(() => openNode(`live, ${state}`)));
  const opened = nodes.map(async ({ sessions, port }) => {
    const created = await Promise.all(Array.from({ length: 40 }, () => sessions.create({ userId: "42", data: {} })));
    return Promise.all(created.map(({ token }) => open(port, token)));
  });
  const sockets = (await Promise.all(opened)).flat();
  expect(nodes.map(({ live }) => live.statistics().sessions)).toEqual([40, 40, 40]);

  const closes = Promise.all(sockets.map(closed));
  await disturb();
  await nodes[0]?.sessions.destroyByUser("42");
  expect(await closes).toEqual(Array(120).fill([4401, "ended"]));
  expect(nodes.map(({ live }) => live.statistics().connections)).toEqual([0, 0, 0]);
});
