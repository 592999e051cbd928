import { startRedis } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis5";
import { afterAll, describe, test } from "vitest";
import { oneRoundTrip, redisHarness } from "./harness.js";

for (const [name, create] of [
  ["node-redis 6", createClient],
  // Both are called alike, but their types differ too much for one call.
  ["node-redis 5", createClient5 as unknown as typeof createClient],
] as const) {
  const server = await startRedis();
  const through = create({ url: server.url, disableOfflineQueue: true, socket: { reconnectStrategy: 20 } });
  through.on("error", () => {});
  await through.connect();
  const client = new Redis(server.url, { maxRetriesPerRequest: 0 });
  client.on("error", () => {});
  afterAll(async () => {
    client.disconnect();
    through.destroy();
    await server.stop();
  });

  const harness = redisHarness({
    name: `Redis, one node, through ${name}`,
    client,
    through,
    roundTrips: oneRoundTrip,
    outage: { begin: () => server.kill(), end: () => server.restart() },
  });
  describeConformance(harness, { describe, test });
}
