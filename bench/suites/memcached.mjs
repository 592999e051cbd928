import { createRequire } from "node:module";
import { MemcachedStore } from "@sojourn/memcached";
import { startMemcached } from "@sojourn/test-fixtures";
import session from "express-session";
import memjs from "memjs";
import { driverSubject, idleMs, managerSubject, peerSubject, storeSubject } from "../lib/subjects.mjs";

const connectMemjs = createRequire(import.meta.url)("connect-memjs");
const anonymous = () => undefined;

export const suite = {
  path: import.meta.url,
  title: "Memcached",
  start: () => startMemcached(),
  packages: ["memjs", "connect-memjs"],
  setting: "one server of 64 MiB; one connection each",
  subjects: {
    memjs: { level: "driver", open: openDriver },
    "connect-memjs": { level: "peer", open: openPeer },
    "Sojourn store": { level: "store", open: (place) => openOurs(storeSubject, place) },
    "Sojourn manager": { level: "manager", open: (place) => openOurs(managerSubject, place) },
    "Sojourn store, anonymous": { level: "store", open: (place) => openOurs(storeSubject, place, anonymous) },
    "Sojourn manager, anonymous": { level: "manager", open: (place) => openOurs(managerSubject, place, anonymous) },
  },
};

function openDriver(place) {
  const client = connect(place);
  const key = (id) => `raw:${place.namespace}:${id}`;
  const expires = idleMs / 1_000;
  return driverSubject(
    {
      write: (id, text) => client.set(key(id), text, { expires }),
      read: (id) => client.get(key(id)),
      touch: (id) => client.touch(key(id), expires),
      remove: (id) => client.delete(key(id)),
      close: () => client.close(),
    },
    place,
  );
}

function openPeer(place) {
  const client = connect(place);
  const PeerStore = connectMemjs(session);
  return peerSubject(new PeerStore({ client, prefix: `peer:${place.namespace}:` }), place, () => client.close());
}

function openOurs(subject, place, userIdOf) {
  const client = connect(place);
  const namespace = `${subject.name}:${userIdOf?.name}:${place.namespace}`;
  return subject(new MemcachedStore({ client, namespace }), place, () => client.close(), userIdOf);
}

/** Patient: on a busy machine the timeout of half a second would turn slowness into failures. */
function connect({ url }) {
  return memjs.Client.create(new URL(url).host, { timeout: 5, conntimeout: 5, keepAlive: true });
}
