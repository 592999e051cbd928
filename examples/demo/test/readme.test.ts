import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findBinary } from "@sojourn/test-fixtures";
import { expect, onTestFinished, test } from "vitest";
import { startDemo } from "../src/server.js";

test.skipIf(findBinary(["curl"]) === undefined)("the walk-through with curl shows what it says", async () => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const [, walkThrough = ""] = readme.match(/^```sh walk-through\n(.*?)^```$/ms) ?? [];
  const steps = [...walkThrough.matchAll(/^(?!#)(.+)\n# (.+)$/gm)];
  expect(steps.length).toBeGreaterThan(3);

  const demo = await startDemo({ port: 0, secret: "test", storeUrl: "memory:", warnings: [] });
  const directory = await mkdtemp(join(tmpdir(), "walk-through-"));
  onTestFinished(async () => {
    await demo.stop();
    await rm(directory, { recursive: true });
  });
  for (const [, command = "", shown = ""] of steps) {
    const { stdout } = await promisify(execFile)("sh", ["-c", command.replaceAll("http://127.0.0.1:3000", demo.url)], {
      cwd: directory,
    });
    expect(stdout, command).toContain(shown);
  }
});
