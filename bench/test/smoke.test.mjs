import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const main = fileURLToPath(new URL("../main.mjs", import.meta.url));

test("a suite runs from the command line", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [main, "memory", "--smoke"]);
  expect(stdout).toMatch(/^memory: done in \d+ s$/m);
});

test("a suite that does not exist is refused with the names of those that do", async () => {
  await expect(promisify(execFile)(process.execPath, [main, "radis"])).rejects.toThrow(
    /no suite "radis"; there are redis/,
  );
});

test("a comparison without a commit, or with a suite that does not exist, is refused", async () => {
  const compare = (...args) => promisify(execFile)(process.execPath, [main, "compare", ...args]);
  await expect(compare()).rejects.toThrow(/name a commit/);
  await expect(compare("HEAD", "radis")).rejects.toThrow(/no suite "radis"; there are redis/);
});
