import { startRedis } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { afterAll, describe, test } from "vitest";
import { oneRoundTrip, redisHarness } from "./harness.js";

const server = await startRedis();
const client = new Redis(server.url);
client.on("error", () => {});
afterAll(async () => {
  client.disconnect();
  await server.stop();
});

const harness = redisHarness({
  name: "Redis, one node",
  client,
  roundTrips: oneRoundTrip,
  outage: { begin: () => server.kill(), end: () => server.restart() },
});
describeConformance(harness, { describe, test });
