import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "./port.js";
import { backend, isReady, serverArgs, withAdmin } from "./redis.js";
import { requireBinary } from "./resolve.js";
import { startServer, type TestServer } from "./server.js";

/** A Redis Cluster of three masters without replicas, each with a third of the slots in order. */
export interface TestCluster {
  readonly nodes: readonly TestServer[];
  /** For `new Cluster(...)` of ioredis. */
  readonly startupNodes: readonly { readonly host: string; readonly port: number }[];
  stop(): Promise<void>;
}

const slots = 16_384;

export interface RedisClusterOptions {
  /** More arguments of each node, such as `["--appendonly", "yes"]`. */
  readonly args?: readonly string[];
}

export async function startRedisCluster({ args = [] }: RedisClusterOptions = {}): Promise<TestCluster> {
  const binary = requireBinary(backend);
  const nodes = await Promise.all([0, 1, 2].map(() => startNode(binary, args)));
  const stop = async (): Promise<void> => void (await Promise.all(nodes.map((node) => node.stop())));
  try {
    await join(nodes);
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes, startupNodes: nodes.map(({ port }) => ({ host: "127.0.0.1", port })), stop };
}

async function startNode(binary: string, more: readonly string[]): Promise<TestServer> {
  // By default the port of the bus is 10,000 above the other one, which may be beyond the last port.
  const busPort = await freePort();
  // Nodes that a busy machine lets wait for some seconds are not to take each other for dead.
  const timeout = ["--cluster-node-timeout", "30000"];
  const cluster = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", ...timeout];
  return startServer({
    name: "redis-cluster",
    command: binary,
    args: (place) => [...serverArgs(place), ...cluster, "--cluster-port", String(busPort), ...more],
    url: ({ port }) => `redis://127.0.0.1:${port}`,
    ready: ({ port, pid }) => isReady(port, pid),
  });
}

async function join(nodes: readonly TestServer[]): Promise<void> {
  const ids = await Promise.all(
    nodes.map(({ port }, n) =>
      withAdmin(port, undefined, async (admin) => {
        const from = Math.ceil((n * slots) / nodes.length);
        const to = Math.ceil(((n + 1) * slots) / nodes.length) - 1;
        await admin.call("CLUSTER", "ADDSLOTSRANGE", from, to);
        // "id ip:port@bus-port ..."
        return String(await admin.call("CLUSTER", "NODES"));
      }),
    ),
  );
  const [first, ...others] = nodes;
  for (const [n, { port }] of others.entries()) {
    const busPort = /@(\d+)/.exec(ids[n + 1] ?? "")?.[1] ?? "";
    if (first) {
      await withAdmin(first.port, undefined, (admin) => admin.call("CLUSTER", "MEET", "127.0.0.1", port, busPort));
    }
  }
  const deadline = performance.now() + 60_000;
  while (!(await Promise.all(nodes.map(({ port }) => agrees(port, nodes.length)))).every(Boolean)) {
    if (performance.now() > deadline) throw new Error("redis-cluster: the nodes have not agreed within 60 s");
    await delay(50);
  }
}

async function agrees(port: number, count: number): Promise<boolean> {
  const info = await withAdmin(port, undefined, async (admin) => String(await admin.call("CLUSTER", "INFO")));
  return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${count}\r`);
}
