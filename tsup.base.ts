import { defineConfig } from "tsup";

/**
 * Classes keep their names. esbuild writes a class that mentions itself as `var A = class _A`, so that `A.name` is `_A`. Its
 * option `keepNames` would also wrap every function, at each run of the code that makes it.
 */
const namedClasses = {
  name: "named-classes",
  renderChunk(code: string): { code: string } {
    let named = code;
    for (const [, name = "", alias = ""] of code.matchAll(/\b(\w+) = class (_\1\d*)\b/g)) {
      named = named.replaceAll(new RegExp(`(?<![\\w$.#])${alias}(?![\\w$])`, "g"), name);
    }
    return { code: named };
  },
};

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
  plugins: [namedClasses],
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
