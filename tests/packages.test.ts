import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packages, root, run } from "./support.js";

describe("packed and installed into an empty project", () => {
  let directory = "";

  beforeAll(async () => {
    directory = await mkdtemp(`${tmpdir()}/sojourn consumer `);
    await mkdir(`${directory}/tarballs`);
    const packed = await run("pnpm", [
      "-r",
      "--filter",
      "./packages/**",
      "pack",
      "--pack-destination",
      `${directory}/tarballs`,
    ]);
    expect(packed.status, packed.output).toBe(0);
    await writeFile(`${directory}/package.json`, '{ "private": true, "type": "module" }');
    const tarballs = (await readdir(`${directory}/tarballs`)).map((file) => `./tarballs/${file}`);
    const options = ["--no-audit", "--no-fund", "--fetch-retries=5"];
    const installed = await run("npm", ["install", ...options, ...tarballs], directory);
    expect(installed.status, installed.output).toBe(0);
  }, 600_000);

  afterAll(() => rm(directory, { recursive: true, force: true }));

  test.each(packages.map(({ name }) => name))("%s: import and require give the same exports", async (name) => {
    const script = `
      import { createRequire } from "node:module";
      const esm = Object.keys(await import("${name}")).sort();
      const cjs = Object.keys(createRequire(import.meta.url)("${name}")).sort();
      console.log(JSON.stringify({ esm, cjs }));`;
    const { status, output } = await run("node", ["--input-type=module", "-e", script], directory);
    expect(status, output).toBe(0);
    const { esm, cjs } = JSON.parse(output) as { esm: string[]; cjs: string[] };
    expect(esm).toEqual(cjs);
    expect(esm.length).toBeGreaterThan(0);
  });

  test("an error made by the CommonJS copy of core is recognised by the ES module", async () => {
    const script = `
      import { createRequire } from "node:module";
      import { isSessionError } from "@sojourn/core";
      const { SessionError } = createRequire(import.meta.url)("@sojourn/core");
      console.log(isSessionError(new SessionError("TIMEOUT", "late"), "TIMEOUT"));`;
    const { output } = await run("node", ["--input-type=module", "-e", script], directory);
    expect(output.trim()).toBe("true");
  });
});

describe.each(packages)("$name", ({ folder, peerDependencies = {} }) => {
  test("has a README whose first example ends within 25 lines", async () => {
    const lines = (await readFile(`${root}/packages/${folder}/README.md`, "utf8")).split("\n");
    const opening = lines.findIndex((line) => /^```(ts|js)/.test(line));
    const closing = lines.indexOf("```", opening);
    expect(opening).toBeGreaterThan(0);
    expect(closing).toBeLessThan(25);
  });

  test("leaves frameworks and drivers, and core, to the application", () => {
    if (folder === "core") expect(peerDependencies).toEqual({});
    else expect(Object.keys(peerDependencies)).toContain("@sojourn/core");
  });
});
