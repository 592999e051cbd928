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

test("a planned failover undoes log-outs of its first moment at most, and heals by itself", async () => {
  // It was killed, and comes back as a replica.
  await sentinel.master.restart();
  // As an application makes it: without failoverDetector. The store's duplicate has it.
  const plain = new Redis({ sentinels: [...sentinel.sentinels], name: sentinel.masterName, lazyConnect: true });
  const store = new RedisStore({ client: plain, prefix: "planned", timeoutMs: 1_000 });
  const patient = new RedisStore({ client, prefix: "planned", timeoutMs: 30_000 });
  const ids = Array.from({ length: 3_000 }, (_, n) => `s${n}`);
  await Promise.all(
    ids.map((id) => patient.create({ id, userId: id, payload: "p", idleMs: 600_000, absoluteMs: 600_000 })),
  );
  expect(await client.wait(1, 30_000)).toBe(1);
  const [watcher] = sentinel.sentinels;
  const admin = new Redis({ host: watcher?.host ?? "", port: watcher?.port ?? 0 });
  const failover = () => admin.call("SENTINEL", "FAILOVER", sentinel.masterName).catch(String);
  // Refused until the sentinel knows the replica.
  await expect.poll(failover, { timeout: 60_000, interval: 500 }).toBe("OK");
  admin.disconnect();
  const beganAt = performance.now();
  const acknowledged: { id: string; afterMs: number }[] = [];
  const failures = new Set<string>();
  for (const id of ids) {
    try {
      await store.destroy(id);
      acknowledged.push({ id, afterMs: performance.now() - beganAt });
    } catch (error) {
      expect(error).toMatchObject({ retryable: true });
      failures.add((error as { code: string }).code);
    }
    await new Promise((resolve) => setTimeout(resolve, 4));
  }
  await expect.poll(() => client.info("replication").catch(() => ""), { timeout: 60_000 }).toContain("role:master");
  const undone: number[] = [];
  for (const { id, afterMs } of acknowledged) {
    if ((await patient.get(id)) !== undefined) undone.push(afterMs);
  }
  const lastMs = Math.round(Math.max(0, ...undone));
  const failed = ids.length - acknowledged.length;
  console.log(
    `planned failover: ${undone.length} of ${acknowledged.length} log-outs undone, the last acknowledged after ` +
      `${lastMs} ms; ${failed} calls failed (${[...failures]})`,
  );
  expect(lastMs).toBeLessThan(3_000);
  await store.close();
});

describeConformance(
  redisHarness({ name: "Redis behind Sentinel, after the failover", client, roundTrips: oneRoundTrip }),
  { describe, test },
  { rounds: 10 },
);
