import { execFile } from "node:child_process";
import { chmod, cp, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";
import { childrenOf, killProcess, postgresDirectories, unprivilegedUser } from "./machine.js";
import { type BackendOptions, type ResolvedServer, requireBinary, resolveServer } from "./resolve.js";
import { startServer, type TestServer } from "./server.js";
import { adoptDirectory } from "./supervisor.js";
import { type PostgresVersion, versionBinary } from "./versions.js";

const backend: BackendOptions = {
  name: "PostgreSQL",
  variable: "SOJOURN_TEST_POSTGRES_URL",
  binaries: ["postgres"],
  directories: postgresDirectories(),
  start: (binary) => startPostgresBinary(binary),
  container: {
    image: "postgres:17-alpine",
    port: 5432,
    env: { POSTGRES_HOST_AUTH_METHOD: "trust" },
    command: ["postgres", "-c", "fsync=off", "-c", "max_connections=200"],
    url: (host, port) => `postgres://postgres@${host}:${port}/postgres`,
  },
  help: "install PostgreSQL (apt-get install postgresql)",
};

export interface PostgresServerOptions {
  /** Default: the version that this machine has installed. Throws when the version is missing, see `whyMissing`. */
  readonly version?: PostgresVersion;
  /** Settings of the server, such as `{ timezone: "America/Los_Angeles" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Asks every user for this password, by SCRAM. Default: everybody is trusted. */
  readonly password?: string;
}

/** A PostgreSQL server: found or started. Its URL is that of a superuser. */
export function resolvePostgres(): Promise<ResolvedServer> {
  return resolveServer(backend);
}

/** A PostgreSQL server of our own that can be killed, paused and restarted. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<TestServer> {
  const { version } = options;
  return startPostgresBinary(version === undefined ? requireBinary(backend) : versionBinary(version), options);
}

async function startPostgresBinary(
  installed: string,
  { settings = {}, password }: PostgresServerOptions = {},
): Promise<TestServer> {
  const user = unprivilegedUser("postgres");
  const binary = user === undefined ? installed : await reachableBinary(installed, user);
  const url = ({ port }: { port: number }): string =>
    `postgres://postgres${password === undefined ? "" : `:${encodeURIComponent(password)}`}@127.0.0.1:${port}/postgres`;
  const all = { fsync: "off", full_page_writes: "off", max_connections: "200", ...settings };
  const server = await startServer({
    name: "postgres",
    command: binary,
    user,
    prepare: ({ dir }) => initDatabase(join(dirname(binary), "initdb"), dir, password, user),
    args: ({ port, dir }) => [
      ...["-D", join(dir, "data"), "-p", String(port), "-k", dir, "-c", "listen_addresses=127.0.0.1"],
      ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ],
    url,
    ready: (place) => isReady(url(place), place.dir),
    // Smart shutdown, SIGTERM, waits for clients.
    stopSignal: "SIGINT",
  });
  // A prototype, because a spread would freeze what the server's getters answer.
  return Object.create(server, { kill: { value: () => kill(server) }, restart: { value: () => restart(server) } });
}

/**
 * The binary, or a copy of its whole installation in a directory that lives as long as this process: a clone below
 * `/root` is closed to the user that PostgreSQL runs as.
 */
async function reachableBinary(binary: string, user: { uid: number; gid: number }): Promise<string> {
  try {
    await promisify(execFile)(binary, ["--version"], { ...user, cwd: "/" });
    return binary;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EACCES")) throw error;
  }
  const dir = await mkdtemp(join(tmpdir(), "sojourn-postgres-binaries-"));
  adoptDirectory(dir);
  await chmod(dir, 0o755);
  await cp(dirname(dirname(binary)), dir, { recursive: true, verbatimSymlinks: true });
  return join(dir, "bin", basename(binary));
}

/** Kills the backends too: without it they outlive the postmaster for a moment and answer one more statement. */
async function kill(server: TestServer): Promise<void> {
  // A paused postmaster forks no further backend.
  server.pause();
  const backends = childrenOf(server.pid);
  await server.kill();
  await Promise.all(backends.map(killProcess));
}

async function restart(server: TestServer): Promise<void> {
  await kill(server);
  for (let attempt = 1; ; attempt++) {
    try {
      return await server.restart();
    } catch (error) {
      // Where the backends cannot be listed, the server refuses to start as long as they live.
      const isOccupied = error instanceof Error && /pre-existing shared memory|lock file/.test(error.message);
      if (attempt === 50 || !isOccupied) throw error;
      await delay(100);
    }
  }
}

async function initDatabase(
  initdb: string,
  dir: string,
  password: string | undefined,
  user: { uid: number; gid: number } | undefined,
): Promise<void> {
  const args = ["-D", join(dir, "data"), "-U", "postgres", "--no-sync", "--encoding=UTF8", "--locale=C"];
  const file = join(dir, "password");
  if (password !== undefined) await writeFile(file, `${password}\n`);
  const authentication = password === undefined ? ["-A", "trust"] : ["-A", "scram-sha-256", `--pwfile=${file}`];
  await promisify(execFile)(initdb, [...args, ...authentication], { ...user, cwd: dir });
}

/** Another test's server may have taken the port: this one says where its files are. */
async function isReady(connectionString: string, dir: string): Promise<boolean> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ data_directory: string }>("SHOW data_directory");
    return rows[0]?.data_directory === join(dir, "data");
  } finally {
    await client.end();
  }
}
