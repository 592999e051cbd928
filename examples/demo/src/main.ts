import { existsSync } from "node:fs";
import { readConfig } from "./config.js";
import { startDemo } from "./server.js";

try {
  if (existsSync(".env")) process.loadEnvFile(".env");
  const config = readConfig(process.env);
  for (const warning of config.warnings) console.warn(warning);
  const demo = await startDemo(config);
  console.log(`The demo is at ${demo.url} (user "admin", password "password")`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void demo.stop());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
