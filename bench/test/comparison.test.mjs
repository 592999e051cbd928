import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { compareStores, judge } from "../lib/comparison.mjs";

const pairOf = (before, after) => ({ opsPerSecond: [before, after], cpuUs: [1 / before, 1 / after] });

test("a row moves when every turn lies on one side, by throughput and by CPU time", () => {
  const { before, after, throughput, cpu } = judge([1.1, 1.2, 1.3, 1.4, 1.5].map((ratio) => pairOf(100, 100 * ratio)));
  expect({ before, after }).toEqual({ before: 100, after: 130 });
  expect(throughput).toMatchObject({ ratio: 1.3, low: 1.1, high: 1.5, moved: "faster" });
  expect(cpu.moved).toBe("faster");
});

test("a row whose turns lie on both sides has not moved", () => {
  const { throughput } = judge([0.7, 0.8, 0.9, 0.95, 1.01].map((ratio) => pairOf(100, 100 * ratio)));
  expect(throughput).toMatchObject({ ratio: 0.9, moved: "no" });
});

test("one stray turn among nine hides no loss", () => {
  const ratios = [0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.87, 3];
  expect(judge(ratios.map((ratio) => pairOf(100, 100 * ratio))).throughput).toMatchObject({
    high: 0.87,
    moved: "slower",
  });
});

test("two trees are measured in turns, each in processes of its own", async () => {
  const tree = { commit: "this", bench: fileURLToPath(new URL("..", import.meta.url)) };
  const log = [];
  const store = { turns: 2, rounds: 1, sliceMs: 5 };
  const rows = await compareStores({ name: "memory", storeOperations: ["get"] }, [tree, tree], {
    store,
    log: (line) => log.push(line),
  });
  expect(rows.map(({ subject, operation, concurrency }) => `${subject}: ${operation} ${concurrency}`)).toEqual([
    ...["get", "create", "update", "touch", "destroy"].flatMap((operation) => [
      `Sojourn manager: ${operation} 1`,
      `Sojourn manager: ${operation} 64`,
    ]),
    "Sojourn store: get 1",
    "Sojourn store: get 64",
  ]);
  for (const { before, after, throughput } of rows) {
    expect(before).toBeGreaterThan(0);
    expect(after).toBeGreaterThan(0);
    expect(throughput.ratios).toHaveLength(2);
  }
  expect(log).toEqual(["turn 1 of 2", "turn 2 of 2"]);
});
