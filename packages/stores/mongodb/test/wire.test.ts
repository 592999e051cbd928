import { startMongoJavaServer, startTcpProxy } from "@sojourn/test-fixtures";
import { afterAll, expect, test } from "vitest";
import { openClient6, openStore } from "./harness.js";

const hour = 3_600_000;
const size = 10_000;
const big = (letter: string): string => letter.repeat(size);
/** Bytes beside the payload: ids, times, names of fields, the driver's additions to each command, and its heartbeat. */
const little = 1_500;

const server = await startMongoJavaServer();
const proxy = await startTcpProxy(server.url);
const client = openClient6(`${proxy.url}?directConnection=true`);
const store = await openStore({ client, dbName: "wire", collectionName: "sessions" });
afterAll(async () => {
  await client.close();
  await proxy.stop();
  await server.stop();
});

const session = (id: string) => ({ id, userId: id, payload: big("p"), idleMs: hour, absoluteMs: 2 * hour });

test.each<[string, (id: string) => Promise<unknown>, sent: number, received: number]>([
  ["create sends the payload and gets none back", (id) => store.create(session(`new ${id}`)), size, 0],
  ["get receives it once", (id) => store.get(id), 0, size],
  ["update sends it and gets none back", (id) => store.update(id, { payload: big("q"), idleMs: hour }), size, 0],
  ["an update of something else gets it back", (id) => store.update(id, { userId: "other" }), 0, size],
  ["touch moves none", (id) => store.touch(id, { idleMs: hour }), 0, 0],
  ["destroy moves none", (id) => store.destroy(id), 0, 0],
  ["destroyByUser moves none", (id) => store.destroyByUser(id), 0, 0],
])("%s", async (name, operation, sent, received) => {
  await store.create(session(name));
  const before = { ...proxy.counts };
  await operation(name);
  const moved = [proxy.counts.sent - before.sent - sent, proxy.counts.received - before.received - received];
  for (const rest of moved) expect(rest).toBeGreaterThan(0);
  for (const rest of moved) expect(rest).toBeLessThan(little);
});
