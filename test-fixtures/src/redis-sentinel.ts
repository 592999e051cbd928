import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { backend, isReady, serverArgs, withAdmin } from "./redis.js";
import { requireBinary } from "./resolve.js";
import { startServer, type TestServer } from "./server.js";

/** A master with one replica, watched by three Sentinels, which fail over within some seconds. */
export interface TestSentinel {
  readonly masterName: string;
  /** For the option `sentinels` of ioredis. */
  readonly sentinels: readonly { readonly host: string; readonly port: number }[];
  readonly master: TestServer;
  readonly replica: TestServer;
  stop(): Promise<void>;
}

const masterName = "sessions";

export async function startRedisSentinel(): Promise<TestSentinel> {
  const binary = requireBinary(backend);
  const started: TestServer[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(started.map((server) => server.stop())));
  const start = async (name: string, args: readonly string[] = []): Promise<TestServer> => {
    const server = await startServer({
      name,
      command: binary,
      args: (place) => [...serverArgs(place), ...args],
      url: ({ port }) => `redis://127.0.0.1:${port}`,
      ready: ({ port, pid }) => isReady(port, pid),
    });
    started.push(server);
    return server;
  };
  try {
    const master = await start("redis-master");
    const replica = await start("redis-replica", [
      ...["--replicaof", "127.0.0.1", String(master.port)],
      ...["--repl-diskless-sync-delay", "0"],
    ]);
    const sentinels = await Promise.all(
      [0, 1, 2].map(async () => {
        const sentinel = await startSentinel(binary, master.port);
        started.push(sentinel);
        return sentinel;
      }),
    );
    await until(async () => (await Promise.all(sentinels.map(({ port }) => seesAll(port)))).every(Boolean));
    await until(() => withAdmin(replica.port, undefined, async (admin) => isLinked(await admin.info("replication"))));
    return {
      masterName,
      sentinels: sentinels.map(({ port }) => ({ host: "127.0.0.1", port })),
      master,
      replica,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startSentinel(binary: string, masterPort: number): Promise<TestServer> {
  return startServer({
    name: "redis-sentinel",
    command: binary,
    // Sentinel rewrites its configuration, so it must be a file.
    args: ({ dir }) => [join(dir, "sentinel.conf"), "--sentinel"],
    prepare: async ({ port, dir }) =>
      writeFileSync(
        join(dir, "sentinel.conf"),
        [
          `port ${port}`,
          "bind 127.0.0.1",
          `dir ${dir}`,
          `sentinel monitor ${masterName} 127.0.0.1 ${masterPort} 2`,
          `sentinel down-after-milliseconds ${masterName} 3000`,
          `sentinel failover-timeout ${masterName} 3000`,
          "",
        ].join("\n"),
      ),
    url: ({ port }) => `redis://127.0.0.1:${port}`,
    ready: ({ port, pid }) => isReady(port, pid),
  });
}

/** Whether a Sentinel knows the replica and the two others: only then can it fail over. */
async function seesAll(port: number): Promise<boolean> {
  const info = await withAdmin(port, undefined, (admin) => admin.info("sentinel"));
  return info.includes("status=ok") && info.includes("slaves=1") && info.includes("sentinels=3");
}

function isLinked(replication: string): boolean {
  return replication.includes("master_link_status:up");
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > deadline) throw new Error("redis-sentinel: not ready to fail over within 60 s");
    await delay(50);
  }
}
