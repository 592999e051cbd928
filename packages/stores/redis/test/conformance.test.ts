import { startRedis } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { afterAll, describe, test } from "vitest";
import { oneRoundTrip, redisHarness } from "./harness.js";

const server = await startRedis();
// Fails at the first attempt to reconnect, so that the cases without a server need not wait for each timeout.
const client = new Redis(server.url, { maxRetriesPerRequest: 0 });
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
