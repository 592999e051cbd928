import { expect, test } from "vitest";
import { conformanceCases, runConformanceCase } from "../src/index.js";
import { simulatedHarness } from "./simulated.js";

// A store keeps the commands of one session in order: writers that share a store do not race.
test.each([
  ["race/one-writer-wins", 8],
  ["race/no-increment-is-lost", 4],
  ["race/one-creator-wins", 6],
  ["race/longest-touch-wins", 4],
  ["race/one-new-user-wins", 3],
])("%s opens a store for each of its %d contenders", async (id, contenders) => {
  const harness = simulatedHarness("swept");
  let opened = 0;
  const counting = {
    ...harness,
    open: (namespace: string) => {
      opened += 1;
      return harness.open(namespace);
    },
  };
  await runConformanceCase(conformanceCases.find((each) => each.id === id) ?? expect.fail(), counting);
  expect(opened).toBe(contenders);
});
