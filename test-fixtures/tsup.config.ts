import { defineConfig } from "tsup";
import { application } from "../tsup.base.js";

/** For programs that run on plain Node, as the benchmarks do. Tests use the sources. */
export default defineConfig({
  ...application,
  entry: ["src/index.ts", "src/supervisor.mjs", "src/namespace.mjs"],
  // The processes are started by their file names.
  outExtension: () => ({ js: ".mjs" }),
});
