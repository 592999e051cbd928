import { expect, test } from "vitest";
import { run } from "./support.js";

test.each([
  ["formatted and free of lint", "biome", ["ci", "--colors=off", "."]],
  ["well typed", "tsc", ["--noEmit"]],
  ["free of unused files, exports and dependencies", "knip", []],
  [
    "packaged so that every resolver finds code and types",
    "turbo",
    ["run", "check:package", "--output-logs=errors-only"],
  ],
])("the workspace is %s", async (_name, command, args) => {
  const { status, output } = await run(command, args);
  expect(status, output).toBe(0);
});

test("nothing names a registry's host or a path of one machine", async () => {
  const pattern = "registry\\.npmjs\\.org|registry\\.yarnpkg|npm\\.pkg\\.github|/work/|/root/|/home/[a-z]";
  const { status, output } = await run("git", ["grep", "-nIE", pattern, "--", ":!tests/repository.test.ts"]);
  expect(output).toBe("");
  expect(status).toBe(1);
});
