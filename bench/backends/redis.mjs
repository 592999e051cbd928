import { RedisStore } from "@sojourn/redis";
import { startRedis } from "@sojourn/test-fixtures";
import { RedisStore as ConnectRedis } from "connect-redis";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis5";
import { idleMs } from "../lib/subjects.mjs";

export const backend = {
  title: "Redis",
  start: () => startRedis(),
  packages: ["ioredis", "redis", "redis5", "connect-redis"],
  setting: "one server, nothing on disk; one connection each",
  drivers: {
    "ioredis 6": openIoredis,
    "node-redis 5": (place) => openNodeRedis(createClient5, place),
    "node-redis 6": (place) => openNodeRedis(createClient, place),
  },
  peers: {
    "connect-redis, node-redis 5": (place) => openPeer(createClient5, place),
    "connect-redis, node-redis 6": (place) => openPeer(createClient, place),
  },
  open,
  openThrough: {
    "node-redis 5": (place) => openThroughNodeRedis(createClient5, place),
    "node-redis 6": (place) => openThroughNodeRedis(createClient, place),
  },
};

async function open({ url, namespace }) {
  const client = new Redis(url);
  return { store: new RedisStore({ client, prefix: `ours-${namespace}` }), close: () => client.quit() };
}

async function openThroughNodeRedis(create, { url, namespace }) {
  const client = await connected(create, url);
  const prefix = `${create === createClient ? "ours6" : "ours5"}-${namespace}`;
  return { store: new RedisStore({ client, prefix }), close: () => client.close() };
}

async function openPeer(create, { url, namespace }) {
  const client = await connected(create, url);
  const prefix = `${create === createClient ? "peer6" : "peer5"}:${namespace}:`;
  return { store: new ConnectRedis({ client, prefix }), close: () => client.close() };
}

async function openIoredis({ url, namespace }) {
  const client = new Redis(url);
  const key = (id) => `raw:${namespace}:${id}`;
  return {
    write: (id, text) => client.set(key(id), text, "PX", idleMs),
    read: (id) => client.get(key(id)),
    touch: (id) => client.pexpire(key(id), idleMs),
    remove: (id) => client.del(key(id)),
    close: () => client.quit(),
  };
}

async function openNodeRedis(create, { url, namespace }) {
  const client = await connected(create, url);
  const key = (id) => `${create === createClient ? "raw6" : "raw5"}:${namespace}:${id}`;
  return {
    write: (id, text) => client.set(key(id), text, { PX: idleMs }),
    read: (id) => client.get(key(id)),
    touch: (id) => client.pExpire(key(id), idleMs),
    remove: (id) => client.del(key(id)),
    close: () => client.close(),
  };
}

async function connected(create, url) {
  const client = create({ url });
  client.on("error", () => {});
  await client.connect();
  return client;
}
