import { startRedis } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as Valkey, Cluster as ValkeyCluster } from "iovalkey";
import { afterAll, describe, expect, test, vi } from "vitest";
import { duplicate } from "../src/duplicate.js";
import { RedisStore } from "../src/index.js";

const server = await startRedis();
const clients = { "ioredis 5": new Redis5(server.url), iovalkey: new Valkey(server.url) };
afterAll(async () => {
  for (const client of Object.values(clients)) client.disconnect();
  await server.stop();
});

for (const [name, client] of Object.entries(clients)) {
  describeConformance(
    {
      name: `Redis through ${name}`,
      open: async (namespace) => new RedisStore({ client, prefix: namespace, timeoutMs: 10_000 }),
    },
    { describe, test },
    { rounds: 5, scale: 0.002 },
  );
}

test.each([
  ["ioredis", () => new Redis(server.url, { enableAutoPipelining: true })],
  ["ioredis 5", () => new Redis5(server.url, { enableAutoPipelining: true })],
  ["iovalkey", () => new Valkey(server.url, { enableAutoPipelining: true })],
])("%s may pipeline automatically", async (name, connect) => {
  const client = connect();
  const store = new RedisStore({ client, prefix: `automatic ${name}`, timeoutMs: 10_000 });
  const session = { id: "a", userId: "u", payload: "p", idleMs: 60_000, absoluteMs: 60_000 };
  expect((await store.create(session)).status).toBe("created");
  const read = await Promise.all([store.get("a"), store.get("b"), client.get("c")]);
  expect(read).toMatchObject([{ id: "a", payload: "p" }, undefined, null]);
  expect(await store.count()).toEqual({ sessions: 1, sessionsWithUser: 1, users: 1 });
  client.disconnect();
});

test("a Cluster is duplicated with its own password and TLS settings: iovalkey replaces redisOptions as a whole", async () => {
  const redisOptions = { password: "secret", tls: { servername: "cluster" } };
  const cluster = new ValkeyCluster([{ host: "127.0.0.1", port: 1 }], { lazyConnect: true, redisOptions });
  const duplicated = vi.spyOn(cluster, "duplicate").mockImplementation(() => {
    throw new Error("not connected in this test");
  });
  await expect(duplicate(cluster as unknown as Parameters<typeof duplicate>[0], 1_000)).rejects.toThrow(
    "not connected",
  );
  const expected = { redisOptions: { ...redisOptions, maxRetriesPerRequest: 0 } };
  expect(duplicated.mock.calls[0]?.[1]).toMatchObject(expected);
  cluster.disconnect();
});
