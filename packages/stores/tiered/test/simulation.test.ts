import { randomInt } from "node:crypto";
import { TieredStore } from "@sojourn/tiered";
import { expect, test } from "vitest";
import { none, simulate, type Variant } from "./simulation.js";

/** `SOJOURN_SEED` repeats a run. */
const seed = Number(process.env.SOJOURN_SEED ?? randomInt(2 ** 31));

const variants: readonly (readonly [string, number, Partial<Variant>])[] = [
  ["the store tells with each write", 3_500, {}],
  ["the caller tells after each write", 500, { announcer: "caller" }],
  ["a fifth of the messages are lost unseen", 500, { loss: 0.2 }],
  ["a tenth of the messages are lost, and gaps are told", 500, { loss: 0.1, tellsGaps: true }],
];

test.each(variants)(
  `no read is staler than allowed when %s: %i schedules of seed ${seed}`,
  async (_, schedules, variant) => {
    const { reads, hits, found } = await simulate({ Store: TieredStore, seed, schedules, variant });
    expect(found).toEqual(none);
    // Copies that never answer prove nothing.
    expect(hits / reads).toBeGreaterThan(0.3);
  },
);
