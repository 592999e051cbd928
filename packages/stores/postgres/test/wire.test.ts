import type { Socket } from "node:net";
import { resolvePostgres } from "@sojourn/test-fixtures";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { PostgresStore } from "../src/index.js";
import { countWaits, openPool, openStore } from "./harness.js";

const hour = 3_600_000;
const size = 10_000;
const big = (letter: string): string => letter.repeat(size);
/** More than ids, times and framing take beside the payload. */
const little = 800;

const server = await resolvePostgres();
// One connection, whose socket counts the bytes.
const pool = openPool(server.url, { max: 1 });
const waits = countWaits(pool);
let socket: Socket;
pool.on("connect", (client) => {
  // The connection is public, but missing from the declarations.
  socket = (client as unknown as { connection: { stream: Socket } }).connection.stream;
});
let store: PostgresStore;
beforeAll(async () => {
  store = await openStore({ pool, table: "wire" });
  await store.clear();
});
afterAll(async () => {
  await store.clear();
  await pool.end();
  await server.stop();
});

const session = (id: string) => ({ id, userId: "u", payload: big("p"), idleMs: hour, absoluteMs: 2 * hour });

it.each<[string, (id: string) => Promise<unknown>, sent: number, received: number]>([
  ["create sends the payload and gets none back", (id) => store.create(session(`new ${id}`)), size, 0],
  ["get receives it once", (id) => store.get(id), 0, size],
  ["update sends it once and gets none back", (id) => store.update(id, { payload: big("q"), idleMs: hour }), size, 0],
  ["touch moves none", (id) => store.touch(id, { idleMs: hour }), 0, 0],
  ["destroy moves none", (id) => store.destroy(id), 0, 0],
])("%s", async (what, operation, sent, received) => {
  // The first run prepares the statements.
  for (const id of [`${what} before`, what]) await store.create(session(id));
  await operation(`${what} before`);
  const { bytesWritten, bytesRead } = socket;
  await operation(what);
  const moved = [socket.bytesWritten - bytesWritten - sent, socket.bytesRead - bytesRead - received];
  for (const rest of moved) expect(rest).toBeGreaterThan(0);
  for (const rest of moved) expect(rest).toBeLessThan(little);
});

it("reads of one tick are one round trip", async () => {
  const ids = Array.from({ length: 64 }, (_, n) => `s${n}`);
  for (const id of ids) await store.create({ ...session(id), payload: id });
  const before = waits();
  const records = await Promise.all(ids.map((id) => store.get(id)));
  expect(records.map((record) => record?.payload)).toEqual(ids);
  expect(waits() - before).toBe(1);
});

it("a payload that cannot be read as text costs the reads of its tick a second round trip, and only a corrupt one fails", async () => {
  const payloads = ["plain", "ü😀", "with\0NUL", "to be damaged"];
  const ids = payloads.map((_, n) => `text ${n}`);
  for (const [n, id] of ids.entries()) await store.create({ ...session(id), payload: payloads[n] ?? "" });
  await pool.query("UPDATE wire SET payload = $2 WHERE id = $1", [ids.at(-1), Buffer.of(0xff)]);
  const before = waits();
  const reads = await Promise.allSettled(ids.map((id) => store.get(id)));
  expect(waits() - before).toBe(2);
  expect(reads.map((read) => (read.status === "fulfilled" ? read.value?.payload : read.reason.code))).toEqual([
    ...payloads.slice(0, 3),
    "CORRUPT",
  ]);
});
