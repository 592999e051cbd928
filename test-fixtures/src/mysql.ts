import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { createConnection } from "mysql2/promise";
import { findBinary } from "./machine.js";
import { type BackendOptions, type ResolvedServer, requireBinary, resolveServer } from "./resolve.js";
import { type ServerPlace, startServer, type TestServer } from "./server.js";

/** Empty at first, and the database of the URL. */
const database = "sojourn";

const backend: BackendOptions = {
  name: "MySQL or MariaDB",
  variable: "SOJOURN_TEST_MYSQL_URL",
  binaries: ["mariadbd"],
  start: (binary) => startMariaDB(binary),
  container: {
    image: "mysql:8.4",
    port: 3306,
    env: { MYSQL_ALLOW_EMPTY_PASSWORD: "yes", MYSQL_DATABASE: database },
    url: (host, port) => `mysql://root@${host}:${port}/${database}`,
  },
  help: "install MariaDB (apt-get install mariadb-server)",
};

export interface MySQLServerOptions {
  /** More arguments of the server, such as `["--max-allowed-packet=64M"]`. */
  readonly args?: readonly string[];
  /** The time zone of the server's system, such as `America/New_York`. Default: that of this machine. */
  readonly timeZone?: string;
}

/** A MySQL or MariaDB server: found or started. Its user may create databases and users. */
export function resolveMySQL(): Promise<ResolvedServer> {
  return resolveServer(backend);
}

/** A MariaDB server of our own that can be killed, paused and restarted. What is committed survives a kill. */
export function startMySQL(options: MySQLServerOptions = {}): Promise<TestServer> {
  return startMariaDB(requireBinary(backend), options);
}

function startMariaDB(binary: string, { args = [], timeZone }: MySQLServerOptions = {}): Promise<TestServer> {
  return startServer({
    name: "mariadb",
    command: binary,
    args: (place) => [...serverArgs(place), ...args],
    url: ({ port }) => `mysql://root@127.0.0.1:${port}/${database}`,
    ready: ({ port, dir }) => isReady(port, dir),
    prepare: ({ dir }) => installDatabase(dir),
    ...(timeZone === undefined ? {} : { env: { TZ: timeZone } }),
  });
}

function serverArgs({ port, dir }: ServerPlace): string[] {
  const where = [`--datadir=${join(dir, "data")}`, `--port=${port}`, "--bind-address=127.0.0.1"];
  // Its own tmpdir: at start a server removes whatever temporary tables others keep there.
  const files = [`--socket=${join(dir, "socket")}`, `--pid-file=${join(dir, "pid")}`, `--tmpdir=${dir}`];
  // A log flushed once a second survives a kill of the server, though not of the machine: enough here, and far quicker.
  const speed = ["--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M", "--skip-name-resolve"];
  return ["--no-defaults", ...runAs(), ...where, ...files, ...speed, "--skip-log-bin"];
}

async function installDatabase(dir: string): Promise<void> {
  const installer = findBinary(["mariadb-install-db"]);
  if (installer === undefined) throw new Error("mariadb-install-db belongs to mariadbd and was not found");
  const args = [`--datadir=${join(dir, "data")}`, "--auth-root-authentication-method=normal", "--skip-test-db"];
  await promisify(execFile)(installer, ["--no-defaults", ...args, ...runAs()]);
}

/** It refuses root unless told that root is meant. */
function runAs(): string[] {
  return process.getuid?.() === 0 ? ["--user=root"] : [];
}

async function isReady(port: number, dir: string): Promise<boolean> {
  const admin = await createConnection({ host: "127.0.0.1", port, user: "root", connectTimeout: 10_000 });
  try {
    const [rows] = await admin.query("SELECT @@datadir AS datadir");
    // Another test's server may have taken the port.
    if (!JSON.stringify(rows).includes(dir)) return false;
    await admin.query(`CREATE DATABASE IF NOT EXISTS ${database}`);
    return true;
  } finally {
    admin.destroy();
  }
}
