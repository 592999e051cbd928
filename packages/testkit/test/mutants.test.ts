import { AssertionError } from "node:assert/strict";
import { describe, expect, test } from "vitest";
import { conformanceCases, runConformanceCase } from "../src/index.js";
import { mutants } from "./mutants/index.js";
import { simulatedHarness } from "./simulated.js";

test("every case has a mutant, and every mutant a case", () => {
  const ids = conformanceCases.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(Object.keys(mutants).sort()).toEqual(ids.sort());
});

describe("the case catches its mutant", () => {
  for (const conformanceCase of conformanceCases) {
    const { id } = conformanceCase;
    const mutant = mutants[id];
    if (mutant === undefined) continue;
    const { breaks, Store, kind = "swept" } = mutant;
    test(`${id}: ${breaks}`, async () => {
      const run = runConformanceCase(conformanceCase, simulatedHarness(kind, Store));
      await expect(run).rejects.toBeInstanceOf(AssertionError);
    });
  }
});
