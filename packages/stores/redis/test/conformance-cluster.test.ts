import { startRedisCluster } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Cluster } from "ioredis";
import { afterAll, describe, test } from "vitest";
import { oneRoundTrip, redisHarness } from "./harness.js";

const cluster = await startRedisCluster();
const client = new Cluster([...cluster.startupNodes], { retryDelayOnFailover: 0 });
client.on("error", () => {});
afterAll(async () => {
  client.disconnect();
  await cluster.stop();
});

const outage = {
  begin: async () => void (await Promise.all(cluster.nodes.map((node) => node.kill()))),
  end: async () => void (await Promise.all(cluster.nodes.map((node) => node.restart()))),
};

describeConformance(
  redisHarness({
    name: "Redis Cluster of three masters",
    client,
    outage,
    roundTrips: {
      get: 1,
      create: 2,
      createWithLimit: 2,
      createEvicting: 3,
      update: 2,
      updateConflict: 1,
      touch: 2,
      rename: 5,
      destroy: 2,
      listByUser: 2,
      destroyByUser: 3,
    },
  }),
  { describe, test },
);

describeConformance(
  redisHarness({ name: "Redis Cluster, namespace in one slot", client, singleSlot: true, roundTrips: oneRoundTrip }),
  { describe, test },
  // The scripts are those of one node.
  { rounds: 5 },
);
