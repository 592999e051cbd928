import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findBinary } from "./machine.js";
import { type BackendOptions, type ResolvedServer, resolveServer } from "./resolve.js";
import { type ServerOptions, startServer, type TestServer } from "./server.js";

const backend: BackendOptions = {
  name: "MongoDB",
  variable: "SOJOURN_TEST_MONGODB_URL",
  binaries: ["mongod"],
  start: (binary) => startMongod(binary),
  container: { image: "mongo:8.0", port: 27017, url: (host, port) => `mongodb://${host}:${port}/` },
  help: "install mongod",
};

/** Where scripts/provision.mjs puts the servers that speak MongoDB's protocol. */
const cache = fileURLToPath(new URL("../../node_modules/.cache/sojourn", import.meta.url));
const javaServer = fileURLToPath(new URL("../mongo-java-server/MongoJavaServer.java", import.meta.url));

/** A real mongod: found, started, or fetched by mongodb-memory-server where that is installed. Else why there is none. */
export async function findMongoDB(): Promise<ResolvedServer | string> {
  try {
    return await resolveServer(backend);
  } catch (error) {
    const fetched = await fetchMongod();
    return typeof fetched === "string" ? `${(error as Error).message} Nor is there one to fetch: ${fetched}.` : fetched;
  }
}

/** A real mongod, or else FerretDB: what examples run against. */
export async function resolveMongo(): Promise<ResolvedServer> {
  const mongod = await findMongoDB();
  return typeof mongod === "string" ? startFerretDB() : mongod;
}

/** FerretDB 1.24 on SQLite: a database that speaks MongoDB's protocol. What is written survives a kill. */
export function startFerretDB(): Promise<TestServer> {
  const binary = join(cache, "bin", process.platform === "win32" ? "ferretdb.exe" : "ferretdb");
  if (!existsSync(binary)) throw new Error(missing("FerretDB", "Go"));
  return startServer({
    name: "ferretdb",
    command: binary,
    args: ({ port, dir }) => [String(port), dir],
    ...described("Listening on TCP"),
  });
}

/** mongo-java-server 1.47: keeps everything in memory, and makes its updates one after the other. */
export function startMongoJavaServer(): Promise<TestServer> {
  const jars = join(cache, "mongo-java-server");
  const java = findBinary(["java"]);
  if (java === undefined || !existsSync(jars) || readdirSync(jars).length === 0) {
    throw new Error(missing("mongo-java-server", "Maven with a JDK"));
  }
  return startServer({
    name: "mongo-java-server",
    command: java,
    args: ({ port }) => ["-cp", join(jars, "*"), javaServer, String(port)],
    ...described("listening"),
  });
}

function startMongod(binary: string): Promise<TestServer> {
  return startServer({
    name: "mongod",
    command: binary,
    args: ({ port, dir }) => ["--port", String(port), "--dbpath", dir, "--bind_ip", "127.0.0.1", "--nounixsocket"],
    ...described("Waiting for connections"),
  });
}

/** Each says in its log, which is its own, when it is ready. */
function described(readyLine: string): Pick<ServerOptions, "url" | "ready"> {
  let seen = 0;
  return {
    url: ({ port }) => `mongodb://127.0.0.1:${port}/`,
    ready: async ({ dir }) => {
      // A restarted server writes on where the one before it stopped.
      const lines = readFileSync(join(dir, "server.log"), "utf8").split(readyLine).length - 1;
      if (lines <= seen) return false;
      seen = lines;
      return true;
    },
  };
}

function missing(name: string, tool: string): string {
  return `These tests start ${name}, which scripts/provision.mjs builds where ${tool} is installed: install it and run \`node scripts/provision.mjs\`.`;
}

/** As much of mongodb-memory-server as is used here; it is optional and not a dependency. */
interface MemoryServerPackage {
  readonly MongoMemoryServer: { create(): Promise<{ getUri(): string; stop(): Promise<unknown> }> };
}

async function fetchMongod(): Promise<ResolvedServer | string> {
  // In a variable, so that neither the compiler nor a bundler asks for a package that is optional.
  const packageName = "mongodb-memory-server";
  let memoryServer: MemoryServerPackage;
  try {
    memoryServer = await import(packageName);
  } catch {
    return "mongodb-memory-server is not installed";
  }
  try {
    const server = await memoryServer.MongoMemoryServer.create();
    return { url: server.getUri(), stop: async () => void (await server.stop()) };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
