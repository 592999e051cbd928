import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { Remote } from "../lib/remote.mjs";

const directory = mkdtempSync(join(tmpdir(), "sojourn-bench-"));
const script = join(directory, "worker.mjs");
writeFileSync(
  script,
  `import { serve } from ${JSON.stringify(new URL("../lib/remote.mjs", import.meta.url).href)};
serve({ double: (n) => 2 * n, fail: () => { throw new Error("no"); }, end: () => process.exit(3) });`,
);
afterAll(() => rmSync(directory, { recursive: true }));

test("a subject answers, and says why it cannot", async () => {
  const remote = await Remote.start(script, []);
  expect(await remote.call("double", 2)).toBe(4);
  await expect(remote.call("fail")).rejects.toThrow("no");
  expect(await remote.call("double", 3)).toBe(6);
  await remote.stop();
});

test("a subject that ends fails its call and every later one", async () => {
  const remote = await Remote.start(script, []);
  await expect(remote.call("end")).rejects.toThrow("the process of a subject ended: 3");
  await expect(remote.call("double", 2)).rejects.toThrow("has ended");
  await remote.stop();
});
