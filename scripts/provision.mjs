// Installs the servers that the tests need and the machine lacks, where it may; elsewhere says what is missing. Does
// nothing, and says nothing, when all is there. The tests themselves fail with a message when a server is missing.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { hasBinary, isExecutable, lastLines, run } from "./commands.mjs";
import { versionRequirements } from "./server-versions.mjs";

/**
 * @typedef {object} Requirement
 * @property {string} name
 * @property {string} [variable] - names what to use instead, and then nothing is installed
 * @property {() => boolean} isPresent
 * @property {string} [aptPackage] - what Debian and Ubuntu call it
 * @property {() => void} [install] - for what apt does not have; throws when it fails
 * @property {string} help - what to do by hand
 */

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const fixtures = path.join(root, "test-fixtures");
const cache = path.join(root, "node_modules/.cache/sojourn");
const ferretDB = path.join(cache, "bin", process.platform === "win32" ? "ferretdb.exe" : "ferretdb");

/** @type {Requirement[]} */
const requirements = [
  {
    name: "Redis",
    variable: "SOJOURN_TEST_REDIS_URL",
    isPresent: () => hasBinary(["redis-server", "valkey-server"]),
    aptPackage: "redis-server",
    help: "install redis-server or valkey-server",
  },
  {
    name: "memcached",
    variable: "SOJOURN_TEST_MEMCACHED_URL",
    isPresent: () => hasBinary(["memcached"]),
    aptPackage: "memcached",
    help: "install memcached",
  },
  {
    name: "PostgreSQL",
    variable: "SOJOURN_TEST_POSTGRES_URL",
    isPresent: () => hasBinary(["postgres"], debianPostgresDirectories()),
    aptPackage: "postgresql",
    help: "install the PostgreSQL server, so that `postgres` and `initdb` are on the PATH",
  },
  {
    name: "PgBouncer",
    variable: "SOJOURN_TEST_POSTGRES_URL",
    isPresent: () => hasBinary(["pgbouncer"]),
    aptPackage: "pgbouncer",
    help: "install pgbouncer",
  },
  {
    name: "MariaDB",
    variable: "SOJOURN_TEST_MYSQL_URL",
    isPresent: () => hasBinary(["mariadbd"]),
    aptPackage: "mariadb-server",
    help: "install mariadb-server",
  },
  {
    name: "FerretDB (for MongoDB)",
    variable: "SOJOURN_TEST_MONGODB_URL",
    isPresent: () => isExecutable(ferretDB),
    install: () => run("go", ["build", "-o", ferretDB, "."], path.join(fixtures, "ferretdb")),
    help: "install Go 1.24 or later",
  },
  {
    name: "mongo-java-server (for MongoDB)",
    variable: "SOJOURN_TEST_MONGODB_URL",
    isPresent: () => hasBinary(["java"]) && existsSync(path.join(cache, "mongo-java-server")),
    install: () => {
      const directory = path.join(fixtures, "mongo-java-server");
      run(
        "mvn",
        ["-q", "-B", "dependency:copy-dependencies", `-DoutputDirectory=${cache}/mongo-java-server`],
        directory,
      );
    },
    help: "install Maven and a JDK of 17 or later",
  },
  {
    name: "Chromium",
    variable: "SOJOURN_TEST_CHROMIUM",
    isPresent: () => hasBinary(["chromium", "chromium-browser", "google-chrome"]),
    aptPackage: "chromium",
    help: "install chromium",
  },
  // Without root, the tests that drop packets are skipped.
  ...[
    ["nftables", "nft"],
    ["iproute2", "ip"],
  ].map(([name, command]) => ({
    name: `${name} (to drop packets)`,
    isPresent: () => process.platform !== "linux" || process.getuid?.() !== 0 || hasBinary([command]),
    aptPackage: name,
    help: `install ${name}`,
  })),
  ...versionRequirements(cache),
];

const missing = requirements.filter(({ variable, isPresent }) => !(variable && process.env[variable]) && !isPresent());
const mayUseApt = process.getuid?.() === 0 && existsSync("/etc/debian_version") && hasBinary(["apt-get"]);

const packages = missing.flatMap(({ aptPackage }) => (aptPackage && mayUseApt ? [aptPackage] : []));
if (packages.length > 0) installPackages(packages);
for (const { name, install, isPresent } of missing) {
  if (!install || isPresent()) continue;
  // What it fetches comes from servers that fail now and then, and what has been fetched stays.
  for (let attempt = 1; attempt <= 3 && !isPresent(); attempt++) {
    say(`installing ${name}`);
    try {
      install();
    } catch (error) {
      say(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
}
for (const { name, variable, isPresent, help } of missing) {
  if (!isPresent()) say(`${name} is missing: ${help}${variable ? `, or set ${variable}` : ""}`);
}

/** @param {string[]} packages */
function installPackages(packages) {
  const restore = keepServicesStopped();
  try {
    say("apt-get update");
    // One mirror that fails does not keep the others from having what is needed, be it from an older list.
    aptGet(["update"]);
    say(`apt-get install ${packages.join(" ")}`);
    aptGet(["install", "-y", "--no-install-recommends", ...packages]);
  } finally {
    restore();
  }
}

/**
 * Runs apt-get, again for a while when another process holds its lock.
 *
 * @param {string[]} args
 */
function aptGet(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (let attempt = 1; ; attempt++) {
    const options = ["-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::Retries=5", "-qq"];
    const { status, stderr } = spawnSync("apt-get", [...options, ...args], {
      env,
      encoding: "utf8",
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (status === 0) return true;
    if (attempt === 6 || !/could not get lock|unable to acquire/i.test(stderr)) {
      say(`apt-get ${args[0]} failed: ${lastLines(stderr)}`);
      return false;
    }
    say("apt-get is locked by another process, waiting");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
  }
}

/**
 * Debian starts a service as soon as its package is installed, unless this file says no. The tests start servers of
 * their own.
 *
 * @returns {() => void} restores what was there
 */
function keepServicesStopped() {
  const file = "/usr/sbin/policy-rc.d";
  const ours = "#!/bin/sh\n# sojourn: no services while packages for the tests are installed\nexit 101\n";
  const found = existsSync(file) ? readFileSync(file) : undefined;
  const before = found?.toString() === ours ? undefined : found;
  writeFileSync(file, ours);
  chmodSync(file, 0o755);
  const restore = () => (before === undefined ? rmSync(file, { force: true }) : writeFileSync(file, before));
  // spawnSync holds the signal back until apt-get has ended.
  process.once("SIGINT", () => {
    restore();
    process.exit(130);
  });
  return restore;
}

function debianPostgresDirectories() {
  const root = "/usr/lib/postgresql";
  return existsSync(root) ? readdirSync(root).map((version) => path.join(root, version, "bin")) : [];
}

/** @param {string} line */
function say(line) {
  console.log(`provision: ${line}`);
}
