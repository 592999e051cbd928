import { defineConfig } from "tsup";

/** The one build of every published package: ESM, CJS and a declaration file for each. */
export const library: ReturnType<typeof defineConfig> = defineConfig({
  entry: ["src/index.ts"],
  format: ["esm", "cjs"],
  target: "node20",
  dts: true,
  sourcemap: true,
  clean: true,
  treeshake: true,
  splitting: false,
  // tsup strips the "node:" prefix by default.
  removeNodeProtocol: false,
});

/** The build of an application that is run from its `dist` and never published. */
export const application: ReturnType<typeof defineConfig> = defineConfig({
  entry: ["src/main.ts"],
  format: ["esm"],
  target: "node20",
  sourcemap: true,
  clean: true,
  removeNodeProtocol: false,
});
