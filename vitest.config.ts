import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Tests run against the sources: a change shows at once, and coverage counts it. */
const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: "@sojourn/test-fixtures", replacement: source("./test-fixtures/src/index.ts") },
      { find: /^@sojourn\/(.+)$/, replacement: `${source("./packages")}/$1/src/index.ts` },
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
        test: { name: "unit", include: ["packages/{core,memory,testkit,express-session,fastify}/test/**/*.test.ts"] },
      },
      {
        extends: true,
        test: {
          name: "servers",
          include: [
            "packages/{redis,memcached,mongodb,postgres,mysql,context}/test/**/*.test.ts",
            "test-fixtures/test/**/*.test.ts",
          ],
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
