import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const main = fileURLToPath(new URL("../main.mjs", import.meta.url));

test.each(["memory", "mongodb"])("the suite %s runs from the command line", async (suite) => {
  const { stdout } = await promisify(execFile)(process.execPath, [main, suite, "--smoke"]);
  expect(stdout).toMatch(new RegExp(`^${suite}: done in \\d+ s$`, "m"));
});

test("a suite that does not exist is refused with the names of those that do", async () => {
  await expect(promisify(execFile)(process.execPath, [main, "radis"])).rejects.toThrow(
    /no suite "radis"; there are redis/,
  );
});
