import { readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { flows, outcomeOf } from "./bridges/flows.js";
import { subjects } from "./bridges/subjects.js";
import { root } from "./support.js";

/* The same flows over real HTTP, in each framework. docs/bridges.md shows the outcomes. */

// Time passes only when a flow moves the clock.
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

const outcomes = new Map<string, string[]>();

describe.each(flows)("$name", (flow) => {
  test("has an allowed outcome with Sojourn's sessions", async () => {
    const found: string[] = [];
    for (const subject of subjects) {
      const outcome = await outcomeOf(flow, subject, (ms) => void vi.setSystemTime(Date.now() + ms));
      found.push(outcome);
      const limit = flow.limits?.[subject.name];
      if (subject.isOurs) expect.soft(limit ? [limit] : flow.wanted, `${subject.name}: ${outcome}`).toContain(outcome);
    }
    outcomes.set(flow.name, found);
  });
});

test("docs/bridges.md shows the outcomes of this run", async () => {
  console.table(
    [...outcomes].map(([flow, found]) => ({
      flow,
      ...Object.fromEntries(subjects.map(({ name }, i) => [name, found[i]])),
    })),
  );
  const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const table = [
    row(["", ...subjects.map(({ name, isOurs }) => (isOurs ? `**${name}**` : name))]),
    row(["---", ...subjects.map(() => "---")]),
    ...[...outcomes].map(([flow, found]) => row([flow, ...found])),
  ].join("\n");
  const page = `${root}/docs/bridges.md`;
  const text = await readFile(page, "utf8");
  if (process.env.SOJOURN_UPDATE_DOCS)
    await writeFile(page, text.replace(/^\| {2}\| express-session[\s\S]*?\n\n/m, `${table}\n\n`));
  expect(await readFile(page, "utf8")).toContain(table);
});

test("docs/writing-a-bridge.md shows the bridge that these flows run with", async () => {
  const bridge = await readFile(`${root}/tests/bridges/koa-bridge.ts`, "utf8");
  expect(await readFile(`${root}/docs/writing-a-bridge.md`, "utf8")).toContain(bridge);
});
