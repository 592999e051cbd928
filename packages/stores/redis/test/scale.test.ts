import { resolveRedis, startRedisCluster } from "@sojourn/test-fixtures";
import { conformanceCases, describeConformance } from "@sojourn/testkit";
import { Cluster, Redis } from "ioredis";
import { afterAll, describe, test } from "vitest";
import { redisHarness } from "./harness.js";

const cases = conformanceCases.filter(({ id }) => id === "namespace/clear-of-many");

const server = await resolveRedis();
const client = new Redis(server.url);
const cluster = await startRedisCluster();
const clusterClient = new Cluster([...cluster.startupNodes]);
afterAll(async () => {
  client.disconnect();
  clusterClient.disconnect();
  await Promise.all([server.stop(), cluster.stop()]);
});

describeConformance(
  redisHarness({ name: "Redis with 150,000 sessions", client, roundTrips: {} }),
  { describe, test },
  { cases, scale: 1, timeoutMs: 600_000 },
);

describeConformance(
  redisHarness({ name: "Redis Cluster with 15,000 sessions", client: clusterClient, roundTrips: {} }),
  { describe, test },
  { cases, scale: 0.1, timeoutMs: 600_000 },
);
