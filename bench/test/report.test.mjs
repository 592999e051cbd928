import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { goals } from "../goals.mjs";
import { readResults, Table, writeResult } from "../lib/results.mjs";
import { judge } from "../report/judge.mjs";
import { filled } from "../report/report.mjs";
import { goalsTable, suiteTables } from "../report/tables.mjs";

const key = { operation: "get", payloadBytes: 1_024, concurrency: 64 };
const goal = {
  what: "get",
  measure: "opsPerSecond",
  of: { suite: "redis", ...key, subject: "ours" },
  to: { suite: "redis", ...key, subject: "peer" },
};

function resultsOf(ours, peers) {
  const table = new Table();
  for (const opsPerSecond of ours) table.addRun({ subject: "ours", ...key }, { opsPerSecond });
  for (const opsPerSecond of peers) table.addRun({ subject: "peer", ...key }, { opsPerSecond });
  const head = { suite: "redis", title: "Redis", setting: "one", reference: "peer", versions: { peer: "1.0.0" } };
  return { ...head, levels: { peer: "peer", ours: "manager" }, rows: table.rows };
}

test("a goal is judged by the median of its runs, at the bound itself met", () => {
  const results = new Map([["redis", resultsOf([100, 200, 400], [100, 100, 100])]]);
  expect(judge({ ...goal, atLeast: 2 }, results)).toEqual({ median: 2, lowest: 1, highest: 4, isMet: true });
  expect(judge({ ...goal, atLeast: 2.1 }, results)?.isMet).toBe(false);
  expect(judge({ ...goal, atMost: 2 }, results)?.isMet).toBe(true);
  expect(judge({ ...goal, atMost: 1.9 }, results)?.isMet).toBe(false);
});

test("what was not measured is neither met nor missed", () => {
  expect(judge({ ...goal, atLeast: 2 }, new Map())).toBeUndefined();
  const results = new Map([["redis", resultsOf([100], [])]]);
  expect(judge({ ...goal, atLeast: 2 }, results)).toBeUndefined();
  expect(goalsTable(new Map())).not.toContain("met |");
});

test("every goal says what it measures and has one bound", () => {
  for (const { what, measure, of, atLeast, atMost } of goals) {
    expect([what, measure, of.subject, of.operation]).not.toContain(undefined);
    expect([atLeast, atMost].filter((bound) => bound !== undefined)).toHaveLength(1);
  }
});

test("a result is written and read as it was", () => {
  const directory = mkdtempSync(join(tmpdir(), "sojourn-bench-"));
  try {
    const result = resultsOf([100, 200], [50, 50]);
    writeResult(result, directory);
    expect(readResults(directory)).toEqual(new Map([["redis", result]]));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a table shows where the peer is faster", () => {
  expect(suiteTables(resultsOf([50], [100]))).toContain("| **ours** | 0.5 |");
});

test("a part of the page is replaced as often as the report is made, and nothing else", () => {
  const page = "before\n<!-- bench:goals -->\nold\n<!-- /bench:goals -->\nafter";
  const once = filled(page, { goals: "new" });
  expect(once).toBe("before\n<!-- bench:goals -->\n\nnew\n\n<!-- /bench:goals -->\nafter");
  expect(filled(once, { goals: "new" })).toBe(once);
  expect(() => filled(page, { other: "x" })).toThrow('"other"');
});
