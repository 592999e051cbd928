import { MemoryStore } from "@sojourn/memory";
import { describe, test } from "vitest";
import { randomFrom } from "../packages/testkit/src/random.js";
import { type BrokenStore, brokenStores } from "./history/broken-stores.js";
import { checkHistory, describeViolation, type Violation } from "./history/check/index.js";
import { audit, MemoryRecorder, runClient } from "./history/client.js";
import { overNetwork } from "./history/network.js";
import { monotonicNow } from "./history/operation.js";

const seed = 1;

/** Twelve clients, each over a network of its own, on one store in this process. */
async function rehearse(
  wrap: BrokenStore["wrap"],
  lossRate: number,
): Promise<{ violations: Violation[]; operations: number }> {
  const store = wrap(new MemoryStore());
  const recorder = new MemoryRecorder();
  const startsAt = monotonicNow();
  const round = { number: 1, seed, startsAt, endsAt: startsAt + 2_000 };
  const clients = Array.from({ length: 12 }, (_, client) => {
    const network = overNetwork(store, randomFrom(seed + client), lossRate);
    return runClient(network, round, { process: 0, client }, recorder);
  });
  await Promise.all(clients);
  await audit(store, round, 0, recorder);
  const operations = recorder.operations();
  const { expiryPrecisionMs } = store.capabilities;
  const violations = checkHistory(operations, { expiryPrecisionMs, isIndexAtomic: true, isLimitAtomic: true });
  return { violations, operations: operations.length };
}

describe("the checker", () => {
  test.concurrent.for([0, 0.03])(
    "blames no correct store, when %d of all messages are lost",
    async (lossRate, { expect }) => {
      const { violations, operations } = await rehearse((store) => store, lossRate);
      expect(operations).toBeGreaterThan(1_000);
      expect(violations.map(describeViolation)).toEqual([]);
    },
  );

  test.concurrent.for(brokenStores)("catches a store where $breaks", async ({ wrap, caughtBy }, { expect }) => {
    const { violations } = await rehearse(wrap, 0);
    const rules = [...new Set(violations.map(({ rule }) => rule))];
    expect(rules, `seed ${seed}`).toContain(caughtBy);
  });
});
