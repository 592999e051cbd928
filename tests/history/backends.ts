import {
  startMemcached,
  startMongoJavaServer,
  startMySQL,
  startPostgres,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  startTcpProxy,
  type TcpProxy,
  type TestServer,
} from "@sojourn/test-fixtures";
import { type Fault, kill, networkFaults, pause } from "./faults.js";
import { failOver, killMaster, killNode, reshard } from "./redis-faults.js";
import type { NatMap, StorePlace } from "./stores.js";

/** A backend with servers of its own, reached through proxies, and what can go wrong with it. */
export interface FaultyBackend {
  readonly place: StorePlace;
  readonly faults: readonly Fault[];
  stop(): Promise<void>;
}

/** Redis answers a write when it is on disk: a kill loses nothing. */
const durable = ["--appendonly", "yes", "--appendfsync", "always"];

export const backends: Readonly<Record<string, () => Promise<FaultyBackend>>> = {
  redis: () => one("redis", startRedis({ args: durable }), { forgets: false }),
  postgres: () => one("postgres", startPostgres(), { forgets: false }),
  mysql: () => one("mysql", startMySQL(), { forgets: false }),
  memcached: () => one("memcached", startMemcached(), { forgets: true }),
  mongodb: startMongo,
  cluster: startCluster,
  sentinel: startSentinel,
};

async function one(
  kind: "redis" | "memcached" | "mongodb" | "mysql" | "postgres",
  starting: Promise<TestServer>,
  options: { readonly forgets: boolean },
): Promise<FaultyBackend> {
  const server = await starting;
  const proxy = await startTcpProxy(server.url);
  return {
    place: { kind, url: proxy.url },
    faults: [...networkFaults([proxy]), pause([server]), kill([server], options)],
    async stop() {
      await proxy.stop();
      await server.stop();
    },
  };
}

/** The stand-in keeps everything in memory: killed, it forgets the indexes too, which a database never does. */
async function startMongo(): Promise<FaultyBackend> {
  const backend = await one("mongodb", startMongoJavaServer(), { forgets: true });
  return { ...backend, faults: backend.faults.filter(({ name }) => name !== "kill") };
}

async function startCluster(): Promise<FaultyBackend> {
  const cluster = await startRedisCluster({ args: durable });
  const { natMap, proxies } = await proxyAll(cluster.nodes);
  return {
    place: { kind: "cluster", nodes: Object.values(natMap), natMap },
    faults: [...networkFaults(proxies), pause(cluster.nodes), killNode(cluster.nodes), reshard(cluster.nodes)],
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await cluster.stop();
    },
  };
}

async function startSentinel(): Promise<FaultyBackend> {
  const sentinel = await startRedisSentinel();
  const servers = [sentinel.master, sentinel.replica];
  const { natMap, proxies } = await proxyAll(servers);
  return {
    place: { kind: "sentinel", masterName: sentinel.masterName, sentinels: sentinel.sentinels, natMap },
    faults: [...networkFaults(proxies), pause(servers), failOver(sentinel), killMaster(sentinel)],
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await sentinel.stop();
    },
  };
}

async function proxyAll(servers: readonly TestServer[]): Promise<{ natMap: NatMap; proxies: TcpProxy[] }> {
  const proxies = await Promise.all(servers.map(({ url }) => startTcpProxy(url)));
  const natMap = Object.fromEntries(
    servers.map(({ port }, at) => [`127.0.0.1:${port}`, { host: "127.0.0.1", port: proxies[at]?.port ?? port }]),
  );
  return { natMap, proxies };
}
