import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import sizeLimits from "./size-limits.json" with { type: "json" };
import { scriptOf, slips } from "./slips.js";
import { type Manifest, packages, root, run } from "./support.js";

/** Every path by which an application imports a package: `@sojourn/core`, `@sojourn/core/adapter`. */
const doors = packages.flatMap(({ name, exports }) =>
  Object.keys(exports)
    .filter((path) => path !== "./package.json")
    .map((path) => name + path.slice(1)),
);
const coreDoors = doors.filter((door) => /^@sojourn\/core\b/.test(door));
/** Gzipped kB (1,000 bytes) of the ES modules of all doors together. */
const limits: Readonly<Record<string, number>> = sizeLimits;

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
    await install(directory, tarballs);
  }, 600_000);

  afterAll(() => rm(directory, { recursive: true, force: true }));

  test.each(doors)("%s: import and require give the same exports, and classes under their own names", async (door) => {
    const { esm, cjs } = await runScript<Record<"esm" | "cjs", Exported[]>>(`
      import { createRequire } from "node:module";
      const isClass = (value) => typeof value === "function" && /^class\\b/.test(String(value));
      const exportsOf = (module) =>
        Object.keys(module).sort().map((name) => ({ name, ...(isClass(module[name]) && { className: module[name].name }) }));
      console.log(JSON.stringify({
        esm: exportsOf(await import("${door}")),
        cjs: exportsOf(createRequire(import.meta.url)("${door}")),
      }));`);
    expect(esm.length).toBeGreaterThan(0);
    expect(esm).toEqual(cjs);
    for (const { name, className = name } of esm) expect(className).toBe(name);
  });

  test("the doors of core share one SessionError, in ES modules and in CommonJS", async () => {
    const answer = await runScript(`
      import { createRequire } from "node:module";
      const require = createRequire(import.meta.url);
      const doors = ${JSON.stringify(coreDoors)};
      const esm = await Promise.all(doors.map((door) => import(door)));
      const cjs = doors.map((door) => require(door));
      const classes = (modules) => new Set(modules.map(({ SessionError }) => SessionError));
      console.log(JSON.stringify({ doors, esm: classes(esm).size, cjs: classes(cjs).size, names: esm.map((m) => m.SessionError?.name) }));`);
    expect(answer).toEqual({
      doors: ["@sojourn/core", "@sojourn/core/adapter", "@sojourn/core/bridge"],
      esm: 1,
      cjs: 1,
      names: ["SessionError", "SessionError", "SessionError"],
    });
  });

  test("an error made by the CommonJS copy of core is recognised by the ES module", async () => {
    const recognised = await runScript(`
      import { createRequire } from "node:module";
      import { isSessionError } from "@sojourn/core";
      const { SessionError } = createRequire(import.meta.url)("@sojourn/core");
      console.log(isSessionError(new SessionError("TIMEOUT", "late"), "TIMEOUT"));`);
    expect(recognised).toBe(true);
  });

  test.each(packages.map(({ name }) => name))("%s: its code stays within its size limit", async (name) => {
    const dist = `${directory}/node_modules/${name}/dist`;
    const files = (await readdir(dist)).filter((file) => file.endsWith(".js"));
    const code = await Promise.all(files.map((file) => readFile(`${dist}/${file}`)));
    const kilobytes = gzipSync(Buffer.concat(code)).length / 1_000;
    expect(kilobytes, "raise the limit in tests/size-limits.json only for code that is worth it").toBeLessThan(
      limits[name] ?? sizeLimits.default,
    );
  });

  test("each slip is answered by what to write instead, and no answer shows a password", async () => {
    const answers = await runScript<(string | null)[]>(scriptOf(slips, import.meta.resolve("ioredis")));
    console.table(slips.map(([slip], index) => ({ slip, answer: answers[index] })));
    for (const [index, [slip, expected]] of slips.entries()) {
      if (expected === undefined) expect(answers[index], slip).toBeNull();
      else expect(answers[index], slip).toContain(expected);
      expect(answers[index] ?? "", slip).not.toContain("s3cret");
    }
  });

  test("@sojourn/redis: an application on node-redis installs, bundles and runs without ioredis", async () => {
    const project = `${directory}/node-redis`;
    await mkdir(project);
    await writeFile(`${project}/package.json`, '{ "private": true, "type": "module" }');
    const files = await readdir(`${directory}/tarballs`);
    const own = files.filter((file) => /^sojourn-(core|redis)-/.test(file)).map((file) => `../tarballs/${file}`);
    await install(project, [...own, "redis"]);
    expect(await readdir(`${project}/node_modules`)).not.toContain("ioredis");
    await writeFile(
      `${project}/main.js`,
      `import { RedisStore } from "@sojourn/redis";
      import { createClient } from "redis";
      const stores = [new RedisStore({ client: createClient() }), RedisStore.fromUrl("redis://localhost:1")];
      const failure = await stores[1].get("a").catch(({ code, message }) => ({ code, message }));
      console.log(JSON.stringify({ clock: stores[0].capabilities.clock, ...failure }));`,
    );
    const output = `${project}/bundle.mjs`;
    const banner = {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    };
    const bundle = { bundle: true, platform: "node", format: "esm", outfile: output, banner } as const;
    const { errors } = await build({ entryPoints: [`${project}/main.js`], logLevel: "silent", ...bundle });
    expect(errors).toEqual([]);
    for (const file of ["main.js", "bundle.mjs"]) {
      const { status, output } = await run("node", [file], project);
      expect(status, output).toBe(0);
      const answer = JSON.parse(output) as Record<"clock" | "code" | "message", string>;
      expect(answer).toMatchObject({ clock: "server", code: "INVALID_OPTION" });
      expect(answer.message).toContain('fromUrl needs the package "ioredis"');
    }
  });

  /** Runs an ES module inside the project, and parses the JSON that it prints. Warnings of packages would spoil it. */
  async function runScript<T>(script: string): Promise<T> {
    const { status, output } = await run("node", ["--no-warnings", "--input-type=module", "-e", script], directory);
    expect(status, output).toBe(0);
    return JSON.parse(output) as T;
  }
});

/** Installs packages and tarballs, with the peers that they require, into a project. */
async function install(project: string, packages: readonly string[]): Promise<void> {
  const options = ["--no-audit", "--no-fund", "--fetch-retries=5"];
  const { status, output } = await run("npm", ["install", ...options, ...packages], project);
  expect(status, output).toBe(0);
}

interface Exported {
  readonly name: string;
  readonly className?: string;
}

test("the root lists every package, so that tests and documentation can import it", async () => {
  const { devDependencies } = JSON.parse(await readFile(`${root}/package.json`, "utf8")) as Required<Manifest>;
  expect(Object.keys(devDependencies)).toEqual(expect.arrayContaining(packages.map(({ name }) => name)));
});

test("every size limit belongs to a package", () => {
  const known = [...packages.map(({ name }) => name), "default"];
  expect(Object.keys(limits).filter((name) => !known.includes(name))).toEqual([]);
});

describe.each(packages)("$name", ({ folder, peerDependencies = {}, ...manifest }) => {
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

  test("has a repository, a homepage and an address for bugs", () => {
    const { homepage, bugs, repository } = manifest;
    expect({ homepage, bugs, repository }).toEqual({
      homepage: `https://github.com/sojourn-js/sojourn/tree/main/packages/${folder}#readme`,
      bugs: "https://github.com/sojourn-js/sojourn/issues",
      repository: {
        type: "git",
        url: "git+https://github.com/sojourn-js/sojourn.git",
        directory: `packages/${folder}`,
      },
    });
  });
});
