import { Redis } from "ioredis";
import { type BackendOptions, type ResolvedServer, requireBinary, resolveServer } from "./resolve.js";
import { type ServerPlace, startServer, type TestServer } from "./server.js";
import { type RedisVersion, versionBinary } from "./versions.js";

export const backend: BackendOptions = {
  name: "Redis",
  variable: "SOJOURN_TEST_REDIS_URL",
  binaries: ["redis-server", "valkey-server"],
  start: (binary) => startRedisBinary(binary),
  container: { image: "redis:7-alpine", port: 6379, url: (host, port) => `redis://${host}:${port}` },
  help: "install redis-server (apt-get install redis-server)",
};

export interface RedisServerOptions {
  /** Default: the version that this machine has installed. Throws when the version is missing, see `whyMissing`. */
  readonly version?: RedisVersion;
  /** More arguments of redis-server, such as `["--requirepass", "secret"]`. */
  readonly args?: readonly string[];
  /** The password by which the fixture itself reaches the server. */
  readonly password?: string;
}

/** A Redis server, one node: found or started. */
export function resolveRedis(): Promise<ResolvedServer> {
  return resolveServer(backend);
}

/** A Redis server of our own that can be killed, paused and restarted. It keeps nothing on disk. */
export async function startRedis(options: RedisServerOptions = {}): Promise<TestServer> {
  const { version } = options;
  return startRedisBinary(version === undefined ? requireBinary(backend) : versionBinary(version), options);
}

function startRedisBinary(binary: string, { args = [], password }: RedisServerOptions = {}): Promise<TestServer> {
  return startServer({
    name: "redis",
    command: binary,
    args: ({ port, dir }) => [...serverArgs({ port, dir }), ...args],
    url: ({ port }) => `redis://${password === undefined ? "" : `:${encodeURIComponent(password)}@`}127.0.0.1:${port}`,
    ready: ({ port, pid }) => isReady(port, pid, password),
  });
}

/** Whether it is process `pid` that answers on this port. */
export async function isReady(port: number, pid: number, password?: string): Promise<boolean> {
  return withAdmin(port, password, async (admin) => (await admin.info("server")).includes(`process_id:${pid}\r`));
}

/** The arguments of every redis-server here: nothing on disk, nothing but the loopback interface. */
export function serverArgs({ port, dir }: ServerPlace): string[] {
  const where = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir];
  return [...where, "--save", "", "--appendonly", "no", "--daemonize", "no"];
}

/** Runs `use` on a connection of its own that neither retries nor queues for long. */
export async function withAdmin<T>(
  port: number,
  password: string | undefined,
  use: (admin: Redis) => Promise<T>,
): Promise<T> {
  const admin = new Redis({
    host: "127.0.0.1",
    port,
    ...(password === undefined ? {} : { password }),
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: 10_000,
    commandTimeout: 10_000,
  });
  admin.on("error", () => {});
  try {
    await admin.connect();
    return await use(admin);
  } finally {
    admin.disconnect();
  }
}
