import { startRedisSentinel } from "@sojourn/test-fixtures";
import { describeConformance } from "@sojourn/testkit";
import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { RedisStore } from "../src/index.js";
import { oneRoundTrip, redisHarness } from "./harness.js";
import { describeFigures, startLoad } from "./load.js";

const sentinel = await startRedisSentinel();
const client = new Redis({
  sentinels: [...sentinel.sentinels],
  name: sentinel.masterName,
  autoResendUnfulfilledCommands: false,
});
client.on("error", () => {});
afterAll(async () => {
  client.disconnect();
  await sentinel.stop();
});

test("a store lives through a failover: errors are retryable, and replicated sessions are still there", async () => {
  const store = new RedisStore({ client, prefix: "failover", timeoutMs: 1_000 });
  const patient = new RedisStore({ client, prefix: "failover", timeoutMs: 30_000 });
  await patient.create({ id: "before", userId: "u", payload: "p", idleMs: 600_000, absoluteMs: 600_000 });
  // Replication is asynchronous; this session is to be there for sure.
  expect(await client.wait(1, 10_000)).toBe(1);
  const load = startLoad(store);
  await sentinel.master.kill();
  const killedAt = performance.now();
  await expect
    .poll(() => store.get("before").catch(() => undefined), { timeout: 60_000, interval: 50 })
    .toMatchObject({ id: "before", userId: "u" });
  const failedOverAfterMs = performance.now() - killedAt;
  const figures = await load.stop();
  console.log(`failover: served again after ${Math.round(failedOverAfterMs)} ms; ${describeFigures(figures)}`);
  for (const code of figures.failed.keys()) expect(["UNAVAILABLE", "TIMEOUT"]).toContain(code);
  expect((await patient.listByUser("u")).map(({ id }) => id)).toEqual(["before"]);
});

describeConformance(
  redisHarness({ name: "Redis behind Sentinel, after the failover", client, roundTrips: oneRoundTrip }),
  { describe, test },
  { rounds: 10 },
);
