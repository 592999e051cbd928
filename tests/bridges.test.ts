import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { flows, outcomeOf } from "./bridges/flows.js";
import { subjects } from "./bridges/subjects.js";
import { root } from "./support.js";

/* The same flows over real HTTP, by each way to have sessions. What comes of them is docs/bridges.md. */

// Time passes only where a flow says so.
beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

const outcomes = new Map<string, string[]>();

describe.each(flows)("$name", (flow) => {
  test("comes out as it must where the sessions are ours", async () => {
    const found: string[] = [];
    for (const subject of subjects) {
      const outcome = await outcomeOf(flow, subject, (ms) => void vi.setSystemTime(Date.now() + ms));
      found.push(outcome);
      if (subject.isOurs) expect.soft(flow.wanted, `${subject.name}: ${outcome}`).toContain(outcome);
    }
    outcomes.set(flow.name, found);
  });
});

test("docs/bridges.md says what was found", async () => {
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
  expect(await readFile(`${root}/docs/bridges.md`, "utf8")).toContain(table);
});
