import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "tsup";
import { afterAll, beforeAll, expect, test } from "vitest";
import { conformanceCases } from "../src/index.js";

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "sojourn-testkit-"));
  await build({
    entry: [fileURLToPath(new URL("./fixtures/node-runner.ts", import.meta.url))],
    outDir: directory,
    outExtension: () => ({ js: ".mjs" }),
    format: "esm",
    target: "node20",
    config: false,
    silent: true,
    removeNodeProtocol: false,
    noExternal: [/^@sojourn\//],
    esbuildOptions: (options) => {
      const core = (door: string): string => fileURLToPath(new URL(`../../core/src/${door}index.ts`, import.meta.url));
      options.alias = {
        "@sojourn/core/adapter": core("adapter/"),
        "@sojourn/core/bridge": core("bridge/"),
        "@sojourn/core": core(""),
      };
    },
  });
});

afterAll(() => rm(directory, { recursive: true }));

test("node:test runs the cases, and shows what it skips and why", async () => {
  const { code, tap } = await runNodeTest({});
  const skipped = total(tap, "skipped");
  expect(tap).toContain("# SKIP the store has to be swept");
  expect(total(tap, "fail")).toBe(0);
  expect(total(tap, "pass") + skipped).toBe(conformanceCases.length);
  expect(skipped).toBeGreaterThan(0);
  expect(code).toBe(0);
});

test("node:test shows the case that fails", async () => {
  const { code, tap } = await runNodeTest({ SOJOURN_TESTKIT_MUTANT: "touch/never-shortens-unasked" });
  expect(total(tap, "fail")).toBe(1);
  expect(tap).toContain("not ok 1 - touch/never-shortens-unasked: touch never brings the deadline nearer by default");
  expect(code).toBe(1);
});

function runNodeTest(env: NodeJS.ProcessEnv): Promise<{ code: number; tap: string }> {
  const args = ["--test", "--test-reporter=tap", join(directory, "node-runner.mjs")];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env: { ...process.env, ...env }, maxBuffer: 2 ** 24 }, (error, stdout) => {
      resolve({ code: typeof error?.code === "number" ? error.code : 0, tap: stdout });
    });
  });
}

/** Returns the counts of the runner: tests, not suites. */
function total(tap: string, what: "pass" | "fail" | "skipped"): number {
  return Number(tap.match(new RegExp(`^# ${what} (\\d+)$`, "m"))?.[1]);
}
