import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { configDefaults, defineConfig } from "vitest/config";

/** Tests run against the sources: a change shows at once, and coverage counts it. */
const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Tests that need no server. The tests of every other package are in the project `servers`. */
const unit = "packages/{core,live,testkit,stores/{memory,tiered},bridges/*}/test/**/*.test.ts";

export default defineConfig({
  resolve: {
    alias: [
      { find: "@sojourn/test-fixtures", replacement: source("./test-fixtures/src/index.ts") },
      { find: /^@sojourn\/core\/(.+)$/, replacement: `${source("./packages/core/src")}/$1/index.ts` },
      ...["", "stores/", "bridges/"].flatMap((group) =>
        readdirSync(source(`./packages/${group}`))
          .filter((folder) => existsSync(source(`./packages/${group}${folder}/package.json`)))
          .map((folder) => ({
            find: new RegExp(`^@sojourn/${folder}$`),
            replacement: source(`./packages/${group}${folder}/src/index.ts`),
          })),
      ),
    ],
  },
  test: {
    reporters: ["default", "./scripts/line-reporter.ts"],
    // They tell hanging from slow, on a machine that has other things to do.
    testTimeout: 120_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 20_000 } },
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: { name: "unit", include: [unit] },
      },
      {
        extends: true,
        test: {
          name: "servers",
          include: ["{packages/*,packages/{stores,bridges}/*,test-fixtures}/test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, unit],
        },
      },
      {
        extends: true,
        test: {
          name: "workspace",
          include: ["tests/**/*.test.ts", "examples/*/test/**/*.test.ts", "bench/test/**/*.test.mjs"],
          testTimeout: 240_000,
        },
      },
    ],
  },
});
