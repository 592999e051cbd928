import { startRedis, testedVersions, whyMissing } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { afterAll, describe, test } from "vitest";
import { oneRoundTrip, redisHarness } from "./harness.js";

for (const version of testedVersions("Redis", "Valkey")) {
  const reason = whyMissing(version);
  if (reason !== undefined) {
    test.skip(`conformance on ${version}: ${reason}`);
    continue;
  }
  const server = await startRedis({ version });
  const client = new Redis(server.url, { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 });
  client.on("error", () => {});
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });
  const outage = { begin: () => server.kill(), end: () => server.restart() };
  const harness = redisHarness({ name: `${version}, one node`, client, roundTrips: oneRoundTrip, outage });
  describeConformance(harness, { describe, test });
}
