import { defineConfig } from "tsup";
import { library } from "../../tsup.base.js";

/** The three doors share their code: `SessionError` is one class behind all of them. */
export default defineConfig({
  ...library,
  entry: { index: "src/index.ts", adapter: "src/adapter/index.ts", bridge: "src/bridge/index.ts" },
  splitting: true,
});
