import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { startMongoJavaServer } from "@sojourn/test-fixtures";
import { afterAll, expect, test } from "vitest";
import { openClient6, openStore } from "./harness.js";

const hour = 3_600_000;
const size = 10_000;
const big = (letter: string): string => letter.repeat(size);
/** Beside the payload: ids, times, names of fields, what the driver adds to each command, and its heartbeat. */
const little = 1_500;

const server = await startMongoJavaServer();
const relay = await startRelay(Number(new URL(server.url).port));
const client = openClient6(`mongodb://127.0.0.1:${relay.port}/?directConnection=true`);
const store = await openStore({ client, dbName: "wire", collectionName: "sessions" });
afterAll(async () => {
  await client.close();
  relay.stop();
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
])("%s", async (what, operation, sent, received) => {
  await store.create(session(what));
  const before = { ...relay.bytes };
  await operation(what);
  const moved = [relay.bytes.sent - before.sent - sent, relay.bytes.received - before.received - received];
  for (const rest of moved) expect(rest).toBeGreaterThan(0);
  for (const rest of moved) expect(rest).toBeLessThan(little);
});

/** Passes on what a client and the server say to each other, and counts it. */
async function startRelay(target: number) {
  const bytes = { sent: 0, received: 0 };
  const sockets: Socket[] = [];
  const listener = createServer((client) => {
    const upstream = connect(target, "127.0.0.1");
    pass(client, upstream, "sent");
    pass(upstream, client, "received");
  });
  function pass(from: Socket, to: Socket, direction: keyof typeof bytes): void {
    sockets.push(from);
    from.on("data", (chunk) => {
      bytes[direction] += chunk.length;
      to.write(chunk);
    });
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  }
  await once(listener.listen(0, "127.0.0.1"), "listening");
  // It listens on a port, not on a path.
  const { port } = listener.address() as AddressInfo;
  const stop = (): void => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  };
  return { port, bytes, stop };
}
