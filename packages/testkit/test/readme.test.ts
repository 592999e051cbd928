import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { conformanceCases } from "../src/index.js";

test("the README lists each case under its promise", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const byPromise = new Map<number | undefined, string[]>();
  for (const { id, promise } of conformanceCases)
    byPromise.set(promise, [...(byPromise.get(promise) ?? []), `\`${id}\``]);
  for (const [promise, ids] of byPromise) {
    expect(readme).toContain(
      `- ${promise === undefined ? "Every promise" : `Promise ${promise}`}: ${ids.join(", ")}\n`,
    );
  }
});
