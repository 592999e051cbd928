// Runs the tests on each supported major version of Node, one after the other, and says which of them failed. Arguments go to
// vitest: `pnpm test:nodes --project unit`. The Node binaries come as npm packages and stay below node_modules.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const majors = [20, 22, 24];
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const vitest = path.join(root, "node_modules/vitest/vitest.mjs");

const outcomes = majors.map((major) => {
  const node = binaryOf(major);
  const version = spawnSync(node, ["--version"], { encoding: "utf8" }).stdout.trim();
  console.log(`\nNode ${version}`);
  // Tests that start `node` themselves find the same binary.
  const env = { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}` };
  const args = [vitest, "run", ...process.argv.slice(2)];
  const { status } = spawnSync(node, args, { cwd: root, env, stdio: "inherit" });
  return { version, isGreen: status === 0 };
});

console.log(`\n${outcomes.map(({ version, isGreen }) => `${version} ${isGreen ? "green" : "failed"}`).join(", ")}`);
process.exitCode = outcomes.every(({ isGreen }) => isGreen) ? 0 : 1;

/**
 * Installs the newest release of a major version, unless a release of it is there.
 *
 * @param {number} major
 * @returns {string} the path of the binary
 */
function binaryOf(major) {
  const folder = path.join(root, "node_modules/.cache/sojourn/node", String(major));
  const binary = path.join(folder, "node_modules/node/bin", process.platform === "win32" ? "node.exe" : "node");
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  const args = ["install", "--prefix", folder, "--no-audit", "--no-fund", "--no-save", `node@${major}`];
  const { status } = spawnSync("npm", args, { cwd: folder, stdio: "inherit", shell: process.platform === "win32" });
  if (status !== 0 || !existsSync(binary)) throw new Error(`node@${major} could not be installed`);
  return binary;
}
