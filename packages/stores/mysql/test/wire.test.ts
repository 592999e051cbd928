import type { Socket } from "node:net";
import { MySQLStore } from "@sojourn/mysql";
import { resolveMySQL } from "@sojourn/test-fixtures";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPool } from "./harness.js";

const hour = 3_600_000;
const size = 10_000;
const big = (letter: string): string => letter.repeat(size);
/** Beside the payload: ids, times, framing, and the description of each column, which the protocol repeats each time. */
const little = 1_200;

const server = await resolveMySQL();
// One connection: its socket is the wire.
const pool = openPool(server.url, { connectionLimit: 1 });
let socket: Socket;
pool.pool.on("connection", (connection) => {
  // mysql2 declares no type for its socket, which is public in fact.
  socket = (connection as unknown as { stream: Socket }).stream;
});
const store = new MySQLStore({ pool, table: `wire_${process.pid}`, timeoutMs: 10_000 });
beforeAll(() => store.ensureSchema());
afterAll(async () => {
  await store.clear();
  await pool.end();
  await server.stop();
});

const session = (id: string) => ({ id, userId: "u", payload: big("p"), idleMs: hour, absoluteMs: 2 * hour });

test.each<[string, (id: string) => Promise<unknown>, sent: number, received: number]>([
  ["create sends the payload and gets none back", (id) => store.create(session(`new ${id}`)), size, 0],
  ["get receives it once", (id) => store.get(id), 0, size],
  ["update sends it once and gets none back", (id) => store.update(id, { payload: big("q"), idleMs: hour }), size, 0],
  ["touch moves none", (id) => store.touch(id, { idleMs: hour }), 0, 0],
  ["destroy moves none", (id) => store.destroy(id), 0, 0],
])("%s", async (what, operation, sent, received) => {
  // Once before: a connection prepares each statement once.
  for (const id of [`${what} before`, what]) await store.create(session(id));
  await operation(`${what} before`);
  const { bytesWritten, bytesRead } = socket;
  await operation(what);
  const moved = [socket.bytesWritten - bytesWritten - sent, socket.bytesRead - bytesRead - received];
  for (const rest of moved) expect(rest).toBeGreaterThan(0);
  for (const rest of moved) expect(rest).toBeLessThan(little);
});

test("a batch describes its columns once", async () => {
  const ids = Array.from({ length: 64 }, (_, n) => `s${n}`);
  for (const id of ids) await store.create({ ...session(id), payload: id });
  const readAll = () => Promise.all(ids.map((id) => store.get(id)));
  await readAll();
  const { bytesWritten, bytesRead } = socket;
  expect((await readAll()).map((record) => record?.payload)).toEqual(ids);
  expect(socket.bytesWritten - bytesWritten).toBeLessThan(64 * 10);
  expect(socket.bytesRead - bytesRead).toBeLessThan(64 * 80 + little);
});
