import { startRedis, testedVersions, whyMissing } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { afterAll, describe, test } from "vitest";
import { oneRoundTrip, redisHarness } from "./harness.js";

/** Fails 22 cases: of a process's first simultaneous calls all but one answer "Error compiling script". */
const broken = new Map([["Redis 6.2", "RedisStore fails simultaneous first calls on Redis 6.2"]]);

for (const version of testedVersions("Redis", "Valkey")) {
  const reason = whyMissing(version) ?? broken.get(version);
  if (reason !== undefined) {
    test.skip(`conformance on ${version}: ${reason}`);
    continue;
  }
  const server = await startRedis({ version });
  const client = new Redis(server.url, { maxRetriesPerRequest: 0 });
  client.on("error", () => {});
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });
  const outage = { begin: () => server.kill(), end: () => server.restart() };
  const harness = redisHarness({ name: `${version}, one node`, client, roundTrips: oneRoundTrip, outage });
  describeConformance(harness, { describe, test });
}
