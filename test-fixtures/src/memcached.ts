import { once } from "node:events";
import { connect } from "node:net";
import { type BackendOptions, type ResolvedServer, requireBinary, resolveServer } from "./resolve.js";
import { startServer, type TestServer } from "./server.js";

const backend: BackendOptions = {
  name: "memcached",
  variable: "SOJOURN_TEST_MEMCACHED_URL",
  binaries: ["memcached"],
  start: (binary) => startMemcachedBinary(binary),
  container: { image: "memcached:1.6-alpine", port: 11_211, url: (host, port) => `memcached://${host}:${port}` },
  help: "install memcached (apt-get install memcached)",
};

export interface MemcachedServerOptions {
  /** More arguments of memcached, such as `["-m", "2"]`; of repeated ones the last holds. */
  readonly args?: readonly string[];
  /** Added to the environment, such as `SASL_CONF_PATH`. */
  readonly env?: NodeJS.ProcessEnv;
}

/** A memcached server: found or started. */
export function resolveMemcached(): Promise<ResolvedServer> {
  return resolveServer(backend);
}

/** A memcached server of our own that can be killed, paused and restarted. */
export function startMemcached(options: MemcachedServerOptions = {}): Promise<TestServer> {
  return startMemcachedBinary(requireBinary(backend), options);
}

function startMemcachedBinary(
  binary: string,
  { args = [], env = {} }: MemcachedServerOptions = {},
): Promise<TestServer> {
  // It refuses to run as root unless root is named.
  const user = process.getuid?.() === 0 ? ["-u", "root"] : [];
  return startServer({
    name: "memcached",
    command: binary,
    args: ({ port }) => [...user, "-l", "127.0.0.1", "-p", String(port), "-U", "0", "-m", "64", ...args],
    url: ({ port }) => `memcached://127.0.0.1:${port}`,
    ready: async ({ port, pid }) => {
      // Without its text protocol (SASL) it closes the connection at once: there it is known by nothing else.
      const answer = await askMemcached(port, "stats\r\n");
      return answer === "" ? args.includes("-S") : answer.includes(`STAT pid ${pid}\r`);
    },
    env,
    // It needs a second to end after a SIGTERM, and keeps nothing that it could save.
    stopSignal: "SIGKILL",
  });
}

/** Sends one command in the text protocol and returns the whole answer: `stats`, `lru_crawler metadump all`. */
export async function askMemcached(port: number, command: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.setTimeout(5_000, () => socket.destroy(new Error("memcached does not answer")));
  try {
    await once(socket, "connect");
    socket.write(command);
    let answer = "";
    for await (const chunk of socket) {
      answer += String(chunk);
      if (/(^|\n)(END|OK|ERROR|RESET|BUSY.*)\r\n$/.test(answer)) break;
    }
    return answer;
  } finally {
    socket.destroy();
  }
}

/** Every item that a server holds, a line each as `lru_crawler metadump` has it: `key=... exp=... ...`. */
export async function listMemcachedItems(port: number): Promise<string[]> {
  for (;;) {
    const dump = await askMemcached(port, "lru_crawler metadump all\r\n");
    // One walk at a time, and the server begins some of its own.
    if (!dump.startsWith("BUSY")) return dump.split("\n");
  }
}
