import { startRedis } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { afterAll, describe, test } from "vitest";
import { oneRoundTrip, redisHarness } from "./harness.js";

const server = await startRedis();
const client = new Redis(server.url, { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 });
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

describeConformance(
  redisHarness({
    name: "Redis, one node, through the client itself",
    client,
    duplicate: false,
    roundTrips: oneRoundTrip,
    outage: { begin: () => server.kill(), end: () => server.restart() },
  }),
  { describe, test },
  // The scripts are those of above.
  { rounds: 5, scale: 0.1 },
);
