/** The source trees that a comparison measures: this one and the one of a commit, each installed and built in its own folder. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const cache = join(root, "node_modules/.cache/sojourn/compare");

/**
 * @typedef {object} Tree
 * @property {string} commit - abbreviated, or "the present tree"
 * @property {string} bench - its folder `bench`, from which its packages are resolved
 */

/** Builds this tree as it is, with changes that are not committed. @returns {Tree} */
export function buildPresentTree() {
  build(root);
  return { commit: "the present tree", bench: join(root, "bench") };
}

/**
 * Checks a commit out below node_modules, where it stays for the next comparison, and builds it.
 *
 * @param {string} name - a commit, by any name that git knows
 * @returns {Tree}
 */
export function buildTreeOf(name) {
  const commit = git("rev-parse", "--verify", "--short=12", `${name}^{commit}`);
  const folder = join(cache, commit);
  // Forced: git may still know a folder that was deleted with node_modules.
  if (!existsSync(join(folder, "package.json"))) git("worktree", "add", "--force", "--detach", folder, commit);
  build(folder);
  return { commit, bench: join(folder, "bench") };
}

function build(folder) {
  run(process.execPath, ["scripts/bootstrap.mjs"], folder);
}

function git(...args) {
  return run("git", args, root).trim();
}

function run(command, args, cwd) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed in ${cwd}:\n${stdout}${stderr}`);
  return stdout;
}
