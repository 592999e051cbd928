import { setTimeout as delay } from "node:timers/promises";
import type { TestSentinel, TestServer } from "@sojourn/test-fixtures";
import { Redis } from "ioredis";
import { type Fault, kill } from "./faults.js";

/** Moves some slots that hold keys from one node of a Cluster to another, key by key. */
export function reshard(nodes: readonly TestServer[]): Fault {
  return {
    name: "reshard",
    async strike(random) {
      const from = Math.floor(random() * nodes.length);
      const to = (from + 1 + Math.floor(random() * (nodes.length - 1))) % nodes.length;
      await withClients(nodes, async (clients) => {
        await untilClusterIsUp(clients);
        const [source, target] = [clients[from], clients[to]];
        const port = nodes[to]?.port;
        if (source === undefined || target === undefined || port === undefined) return;
        const [sourceId, targetId] = await Promise.all([idOf(source), idOf(target)]);
        for (const slot of await slotsOf(source, 12)) {
          await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceId);
          await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", targetId);
          await moveKeys(source, slot, port, random);
          // The target first: else the slot would belong to no node for a moment.
          for (const node of [target, source, ...clients])
            await node.call("CLUSTER", "SETSLOT", slot, "NODE", targetId);
        }
      });
    },
  };
}

async function moveKeys(source: Redis, slot: number, targetPort: number, random: () => number): Promise<void> {
  for (;;) {
    const keys = (await source.call("CLUSTER", "GETKEYSINSLOT", slot, 5)) as string[];
    if (keys.length === 0) return;
    await source.call("MIGRATE", "127.0.0.1", targetPort, "", 0, 5_000, "REPLACE", "KEYS", ...keys);
    await delay(random() * 10);
  }
}

/** SIGKILL of a node, which is back before the others take it for dead. */
export function killNode(nodes: readonly TestServer[]): Fault {
  return {
    name: "kill",
    async strike(random) {
      await kill(nodes, { forgets: false }).strike(random);
      await withClients(nodes, untilClusterIsUp);
    },
  };
}

/** A node that has been restarted refuses commands for some seconds. */
function untilClusterIsUp(clients: readonly Redis[]): Promise<void> {
  return until("Cluster", async () => {
    const infos = await Promise.all(clients.map(async (client) => String(await client.call("CLUSTER", "INFO"))));
    return infos.every((info) => info.includes("cluster_state:ok"));
  });
}

async function slotsOf(node: Redis, count: number): Promise<number[]> {
  const slots = new Set<number>();
  for (let tries = 0; slots.size < count && tries < count * 4; tries += 1) {
    const key = await node.randomkey();
    if (key !== null) slots.add(Number(await node.call("CLUSTER", "KEYSLOT", key)));
  }
  return [...slots];
}

async function idOf(node: Redis): Promise<string> {
  return String(await node.call("CLUSTER", "MYID"));
}

/** A planned failover. Replication is asynchronous: the new master may lack the last writes. */
export function failOver(sentinel: TestSentinel): Fault {
  return {
    name: "failover",
    forgets: true,
    async strike() {
      await untilReplicated(sentinel);
      await switchMaster(sentinel, (admin) => admin.call("SENTINEL", "FAILOVER", sentinel.masterName));
    },
  };
}

/** SIGKILL of the master, a failover by the Sentinels, and the old master back as a replica. */
export function killMaster(sentinel: TestSentinel): Fault {
  return {
    name: "kill-master",
    forgets: true,
    async strike() {
      await untilReplicated(sentinel);
      const port = await masterPort(sentinel);
      const master = [sentinel.master, sentinel.replica].find((server) => server.port === port);
      await switchMaster(sentinel, () => master?.kill() ?? Promise.resolve());
      await master?.restart();
    },
  };
}

async function switchMaster(sentinel: TestSentinel, act: (admin: Redis) => Promise<unknown>): Promise<void> {
  const before = await masterPort(sentinel);
  await withSentinel(sentinel, act);
  await until("a failover", async () => (await masterPort(sentinel)) !== before);
}

async function masterPort(sentinel: TestSentinel): Promise<number> {
  return withSentinel(sentinel, async (admin) => {
    const [, port] = (await admin.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel.masterName)) as string[];
    return Number(port);
  });
}

/** A Sentinel only fails over to a replica that is up to date. */
async function untilReplicated(sentinel: TestSentinel): Promise<void> {
  await until("a replica", async () => {
    const port = await masterPort(sentinel);
    const replica = [sentinel.master, sentinel.replica].find((server) => server.port !== port);
    if (replica === undefined) return false;
    const info = await withClients([replica], async ([client]) => client?.info("replication"));
    const isKnown = await withSentinel(sentinel, (admin) => admin.info("sentinel"));
    return info?.includes("master_link_status:up") === true && isKnown.includes("status=ok");
  });
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`There is no ${what} within 60 s`);
    await delay(50);
  }
}

function withSentinel<T>({ sentinels }: TestSentinel, use: (admin: Redis) => Promise<T>): Promise<T> {
  return withClients(sentinels.slice(0, 1), async ([admin]) => {
    if (admin === undefined) throw new Error("There is no Sentinel");
    return use(admin);
  });
}

async function withClients<T>(
  servers: readonly { readonly port: number }[],
  use: (clients: readonly Redis[]) => Promise<T>,
): Promise<T> {
  const clients = servers.map(({ port }) => new Redis({ port, host: "127.0.0.1", retryStrategy: () => null }));
  for (const client of clients) client.on("error", () => {});
  try {
    return await use(clients);
  } finally {
    for (const client of clients) client.disconnect();
  }
}
