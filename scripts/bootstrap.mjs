// Brings a bare clone to a built workspace with nothing but Node and npm, and does nothing where nothing changed.
// Arguments: the packages to build (with what they need); none builds everything.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === "win32";
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Sojourn needs Node 20.19 or later, this is ${process.version}.`);
  process.exit(1);
}

const { packageManager } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const pnpmMajor = packageManager.match(/^pnpm@(\d+)\./)[1];
const env = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: "1",
  npm_config_update_notifier: "false",
  // A registry that fails now and then; what pnpm does then says pnpm-workspace.yaml.
  npm_config_fetch_retries: "5",
};

/** @param {string} command @param {string[]} args */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", shell: windows, env });
  if (error) console.error(error.message);
  if (status !== 0) process.exit(status ?? 1);
}

/** @param {string} file */
const changedAt = (file) => {
  const full = path.join(root, file);
  return existsSync(full) ? statSync(full).mtimeMs : 0;
};

if (changedAt("node_modules/.modules.yaml") < changedAt("pnpm-lock.yaml")) {
  // From "/" so that the answer is the installed pnpm's own version, not the one that this workspace pins.
  const local = spawnSync("pnpm", ["--version"], { cwd: path.parse(root).root, shell: windows, encoding: "utf8" });
  const usable = local.status === 0 && local.stdout.trim().startsWith(`${pnpmMajor}.`);
  if (usable) run("pnpm", ["install", "--frozen-lockfile"]);
  else run("npx", ["--yes", packageManager, "install", "--frozen-lockfile"]);
}

const filters = process.argv.slice(2).map((name) => `--filter=${name}`);
// turbo looks for pnpm on the PATH; the workspace carries its own.
env.PATH = `${path.join(root, "node_modules", ".bin")}${path.delimiter}${env.PATH}`;
run(path.join(root, "node_modules", ".bin", windows ? "turbo.cmd" : "turbo"), [
  "run",
  "build",
  "--output-logs=errors-only",
  ...filters,
]);
