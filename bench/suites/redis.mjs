import { RedisStore } from "@sojourn/redis";
import { startRedis } from "@sojourn/test-fixtures";
import { RedisStore as ConnectRedis } from "connect-redis";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis5";
import { driverSubject, idleMs, managerSubject, peerSubject, storeSubject } from "../lib/subjects.mjs";

export const suite = {
  path: import.meta.url,
  title: "Redis",
  start: () => startRedis(),
  packages: ["ioredis", "redis", "redis5", "connect-redis"],
  setting: "one server, nothing on disk; one connection each",
  subjects: {
    "ioredis 6": { level: "driver", open: openIoredis },
    "node-redis 5": { level: "driver", open: (place) => openNodeRedis(createClient5, place) },
    "node-redis 6": { level: "driver", open: (place) => openNodeRedis(createClient, place) },
    "connect-redis, node-redis 5": { level: "peer", open: (place) => openPeer(createClient5, place) },
    "connect-redis, node-redis 6": { level: "peer", open: (place) => openPeer(createClient, place) },
    "Sojourn store": { level: "store", open: (place) => openOurs(storeSubject, place) },
    "Sojourn manager": { level: "manager", open: (place) => openOurs(managerSubject, place) },
  },
};

async function openIoredis(place) {
  const client = new Redis(place.url);
  const key = (id) => `raw-ioredis:${place.namespace}:${id}`;
  return driverSubject(
    {
      write: (id, text) => client.set(key(id), text, "PX", idleMs),
      read: (id) => client.get(key(id)),
      touch: (id) => client.pexpire(key(id), idleMs),
      remove: (id) => client.del(key(id)),
      close: () => client.quit(),
    },
    place,
  );
}

async function openNodeRedis(create, place) {
  const client = await connected(create, place);
  const key = (id) => `raw-${create.name}:${place.namespace}:${id}`;
  return driverSubject(
    {
      write: (id, text) => client.set(key(id), text, { PX: idleMs }),
      read: (id) => client.get(key(id)),
      touch: (id) => client.pExpire(key(id), idleMs),
      remove: (id) => client.del(key(id)),
      close: () => client.close(),
    },
    place,
  );
}

async function openPeer(create, place) {
  const client = await connected(create, place);
  const store = new ConnectRedis({ client, prefix: `peer:${place.namespace}:` });
  return peerSubject(store, place, () => client.close());
}

async function openOurs(subject, place) {
  const client = new Redis(place.url);
  const prefix = `${subject.name}-${place.namespace}`;
  return subject(new RedisStore({ client, prefix }), place, () => client.quit());
}

async function connected(create, { url }) {
  const client = create({ url });
  client.on("error", () => {});
  await client.connect();
  return client;
}
