import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("..", import.meta.url));

export interface Manifest {
  readonly name: string;
  /** Below `packages`, such as `stores/redis`. */
  readonly folder: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly homepage?: string;
  readonly bugs?: string;
  readonly repository?: unknown;
}

const folders: readonly string[] = ["", "stores/", "bridges/"].flatMap((group) =>
  readdirSync(`${root}/packages/${group}`)
    .map((name) => `${group}${name}`)
    .filter((folder) => existsSync(`${root}/packages/${folder}/package.json`)),
);

/** The published packages. */
export const packages: readonly Manifest[] = folders.map((folder) => {
  const manifest = JSON.parse(readFileSync(`${root}/packages/${folder}/package.json`, "utf8")) as Omit<
    Manifest,
    "folder"
  >;
  return { ...manifest, folder };
});

export interface Outcome {
  readonly status: number | null;
  /** The output of the command on both streams. */
  readonly output: string;
}

/** Runs a command of the workspace to its end. */
export function run(command: string, args: readonly string[], cwd: string = root): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const path = `${root}/node_modules/.bin:${process.env.PATH}`;
    const env = { ...process.env, PATH: path, TURBO_TELEMETRY_DISABLED: "1", NO_COLOR: "1", FORCE_COLOR: "0" };
    const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8");
      stream.on("data", (text: string) => {
        output += text;
      });
    }
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
}
