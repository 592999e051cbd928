import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "tsup";
import { afterEach, beforeAll, expect, test } from "vitest";
import { Client } from "./client.js";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const directory = path("../node_modules/.cache/sojourn");

/** The program as `npm start` runs it, made of the sources as they are. */
beforeAll(async () => {
  await build({
    config: false,
    entry: [path("../src/main.ts")],
    outDir: directory,
    format: "esm",
    target: "node20",
    silent: true,
    // The demo's own dependencies; the workspace's packages come with theirs.
    external: [/^(express|express-session|ioredis|pg|mysql2|mongodb|memjs)(\/|$)/],
    // Names their sources.
    tsconfig: path("../../../tsconfig.json"),
  });
});

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Starts the program; it sees no `.env`, and of the environment only what is given. */
function start(env: Record<string, string>): {
  child: ChildProcess;
  lines: () => AsyncIterable<string>;
  errors: string[];
} {
  const child = spawn(process.execPath, [`${directory}/main.js`], {
    cwd: directory,
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  const errors: string[] = [];
  child.stderr.setEncoding("utf8").on("data", (text: string) => errors.push(text));
  return { child, lines: () => createInterface({ input: child.stdout }), errors };
}

test.each(["SIGTERM", "SIGINT"] as const)("says where it is, serves, and ends on %s", async (signal) => {
  const { child, lines, errors } = start({ PORT: "0", SESSION_SECRET: "test" });
  let url: string | undefined;
  for await (const line of lines()) {
    url = line.match(/http:\/\/127\.0\.0\.1:\d+/)?.[0];
    if (url !== undefined) break;
  }
  expect(url, errors.join("")).toBeDefined();
  const client = new Client();
  await client.login(url ?? "");
  expect(await client.json("GET", `${url}/profile`)).toMatchObject({ loginCount: 1 });
  child.kill(signal);
  expect(await once(child, "exit")).toEqual([0, null]);
  expect(errors).toEqual([]);
});

test.each<[string, Record<string, string>, string]>([
  ["no secret in production", { NODE_ENV: "production" }, "randomBytes(32)"],
  ["a port that is none", { PORT: "http" }, "PORT must be a number"],
  ["a store of an unknown kind", { PORT: "0", SESSION_STORE: "oracle:" }, "SESSION_STORE must begin with one of"],
  // Nothing listens on port 1.
  ["a store that is down", { PORT: "0", SESSION_STORE: "postgres://user:hidden@127.0.0.1:1/db" }, "@sojourn/postgres"],
])("with %s ends with status 1 and says why", async (_name, env, message) => {
  const { child, errors } = start(env);
  expect(await once(child, "close")).toEqual([1, null]);
  expect(errors.join("")).toContain(message);
  expect(errors.join("")).not.toContain("hidden");
});
