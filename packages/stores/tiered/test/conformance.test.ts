import { MemoryBus, type SessionBus } from "@sojourn/core";
import type { BusListener } from "@sojourn/core/adapter";
import { conformanceCases, describeConformance, runConformanceCase } from "@sojourn/testkit";
import { describe, expect, test } from "vitest";
import { memoryHarness, TestClock } from "../../memory/test/harness.js";
import { tieredHarness } from "./harness.js";

const clock = new TestClock();
const inner = memoryHarness(clock);

describeConformance(
  tieredHarness({ name: "TieredStore, all told at once", inner, clock, tellsTouches: true }),
  { describe, test },
  // Each interleaving is a run of its own.
  { rounds: 2 },
);

/** The cases that see another process' older times after a touch, of which no store tells. */
const staleAfterTouch: readonly string[] = [
  "touch/moves-the-deadline",
  "rename/restarts-the-absolute-deadline",
  "model/racing-pairs",
  "model/racing-triples",
];

/** The cases that see another process' older state while a message is on its way. */
const staleWhileLate: readonly string[] = [
  ...staleAfterTouch,
  "race/reads-among-ends",
  "race/one-new-user-wins",
  "destroy-by-user/ends-all-of-one-user",
  "race/rename-against-destroy-by-user",
  "race/login-against-destroy-by-user",
  "race/limit-create-evicts",
  "race/limit-update-evicts",
  "race/limit-rename-evicts",
  "rename/moves-everything",
];

/** The harness without its interleavings, of which there are too many to look at one by one. */
const { openStepped: _, ...plain } = inner;

describe("every case passes, except those on the list,", () => {
  test.each([
    ["when touches are silent", () => new MemoryBus(), staleAfterTouch],
    ["when messages are 20 ms late", () => new LateBus(20), staleWhileLate],
    ["when messages are an hour late", () => new LateBus(3_600_000), staleWhileLate],
  ])("%s", async (name, openBus, list) => {
    const harness = tieredHarness({ name, inner: plain, clock, openBus });
    const failed: string[] = [];
    for (const conformanceCase of conformanceCases) {
      const passed = await runConformanceCase(conformanceCase, harness, { rounds: 5 }).then(
        () => true,
        () => false,
      );
      if (!passed) failed.push(conformanceCase.id);
    }
    expect(failed).not.toEqual([]);
    expect(failed.filter((id) => !list.includes(id))).toEqual([]);
  });
});

/** A bus of one process whose messages arrive later. */
class LateBus implements SessionBus {
  readonly #bus = new MemoryBus();
  readonly #delayMs: number;

  constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  subscribe(listener: BusListener): () => void {
    return this.#bus.subscribe(listener);
  }

  publish(...message: Parameters<SessionBus["publish"]>): void {
    setTimeout(() => this.#bus.publish(...message), this.#delayMs).unref();
  }

  close(): Promise<void> {
    return this.#bus.close();
  }
}
