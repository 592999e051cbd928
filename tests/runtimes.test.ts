import { isBuiltin } from "node:module";
import { type ServerVersion, versionBinary, whyMissing } from "@sojourn/test-fixtures";
import { build } from "esbuild";
import { describe, expect, test } from "vitest";
import { root, run } from "./support.js";

/* The built packages outside of Node.js, and in bundles. */

const program = `${root}/tests/runtimes/flow.mjs`;
const runtimes: readonly [ServerVersion, readonly string[]][] = [
  // Without the paths of tsconfig.json, which lead to the sources.
  ["Bun 1.4", [`--tsconfig-override=${root}/tsconfig.base.json`, program]],
  ["Deno 2.9", ["run", "--allow-all", "--no-lock", "--node-modules-dir=manual", program]],
];

for (const [runtime, args] of runtimes) {
  const reason = whyMissing(runtime);
  const title = `${runtime} runs core, memory and web${reason === undefined ? "" : `: ${reason}`}`;
  test.skipIf(reason !== undefined)(title, async () => {
    const { status, output } = await run(versionBinary(runtime), args);
    expect(status, output).toBe(0);
    expect(JSON.parse(output)).toEqual({
      merged: { userId: "ann", data: { a: true, b: true, c: true } },
      sessionsOfAnn: 1,
      afterLogout: { data: {} },
    });
  });
}

interface Bundle {
  /** Minified. */
  readonly kilobytes: number;
  /** The modules of Node.js that it imports. */
  readonly modules: readonly string[];
  /** How it imports ioredis, which it leaves out. */
  readonly ioredis: readonly string[];
}

async function bundle(code: string): Promise<Bundle> {
  const stdin = { contents: code, resolveDir: root };
  const { metafile, outputFiles } = await build({
    stdin,
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    outfile: "bundle.mjs",
    // Without the paths of tsconfig.json, which lead to the sources.
    tsconfigRaw: {},
    external: ["ioredis"],
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  const modules = imports.filter(({ path }) => isBuiltin(path)).map(({ path }) => `node:${path.replace("node:", "")}`);
  const ioredis = imports.filter(({ path }) => path === "ioredis").map(({ kind }) => kind);
  const bytes = outputFiles.reduce((sum, { contents }) => sum + contents.length, 0);
  return {
    kilobytes: Math.round(bytes / 1_000),
    modules: [...new Set(modules)].sort(),
    ioredis: [...new Set(ioredis)],
  };
}

describe("a bundle of", () => {
  const core = 'export { SessionManager } from "@sojourn/core"; export { MemoryStore } from "@sojourn/memory";';

  test("core and memory stays small, and imports only these modules of Node.js", async () => {
    const { kilobytes, modules } = await bundle(core);
    expect(kilobytes).toBeLessThan(150);
    expect(modules).toEqual(documented);
  });

  test("core, memory and web stays small, and imports only these modules of Node.js", async () => {
    const { kilobytes, modules } = await bundle(`${core} export { webSessions } from "@sojourn/web";`);
    expect(kilobytes).toBeLessThan(180);
    expect(modules).toEqual(documented);
  });

  test("an application on node-redis loads ioredis only on demand", async () => {
    const { kilobytes, ioredis } = await bundle(
      'export { RedisStore } from "@sojourn/redis"; export { createClient } from "redis";',
    );
    expect(kilobytes).toBeLessThan(800);
    expect(ioredis).toEqual(["dynamic-import"]);
  });
});

/** packages/bridges/web/README.md lists them. */
const documented = ["node:crypto", "node:net", "node:perf_hooks", "node:timers/promises", "node:util"];
