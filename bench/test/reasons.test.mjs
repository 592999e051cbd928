import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { goals, nameOf } from "../goals.mjs";
import { readResults } from "../lib/results.mjs";
import { wrongReasons } from "../report/reasons.mjs";

const goal = (what, atLeast) => ({
  what,
  measure: "opsPerSecond",
  of: { suite: "redis", subject: "ours", operation: "get" },
  atLeast,
});
const results = new Map([["redis", { rows: [{ subject: "ours", operation: "get", runs: [{ opsPerSecond: 100 }] }] }]]);
const judged = [goal("get", 200), goal("touch", 150), goal("list", 100)];
const pageOf = (...lines) =>
  ["# Page", "", "## Goals not met, and why", "", ...lines, "", "## Next", "- else"].join("\n");

test("every goal that is not met has its reason, and no other has one", () => {
  const found = (...lines) => wrongReasons(pageOf(...lines), results, judged);
  expect(found("- Redis: get", "- Redis: touch", "", "Half is the driver.")).toEqual([]);
  expect(found("- Redis: get", "", "Half is the driver.")).toEqual(["not met, and no reason given: Redis: touch"]);
  expect(found("- Redis: get", "- Redis: touch", "- Redis: list", "", "Half is the driver.")).toEqual([
    "not among the goals not met: Redis: list",
  ]);
  expect(found("- Redis: get", "", "- Redis: touch", "", "Half is the driver.")).toEqual([
    "no reason below: Redis: get",
  ]);
  expect(found("- Redis: get", "- Redis: touch")).toEqual(["no reason below: Redis: touch"]);
  expect(wrongReasons("# Page", results, judged)).toHaveLength(1);
});

test("no two goals have one name", () => {
  expect(new Set(goals.map(nameOf)).size).toBe(goals.length);
});

test("the page gives a reason for each goal that its results do not meet", () => {
  const page = readFileSync(new URL("../../docs/benchmarks.md", import.meta.url), "utf8");
  expect(wrongReasons(page, readResults())).toEqual([]);
});
