import { MemcachedStore } from "@sojourn/memcached";
import { startMemcached } from "@sojourn/test-fixtures";
import connectMemjs from "connect-memjs";
import session from "express-session";
import memjs from "memjs";
import { idleMs } from "../lib/subjects.mjs";

export const backend = {
  title: "Memcached",
  // Room for all that the subjects create in a run: an evicted session is an ended one.
  start: () => startMemcached({ args: ["-m", "1024"] }),
  packages: ["memjs", "connect-memjs"],
  setting: "one server of 1 GiB; one connection each",
  drivers: { memjs: openDriver },
  peers: { "connect-memjs": openPeer },
  open,
  // A user's list of sessions is an item of its own, so a session of a user costs a read more.
  measuresAnonymous: true,
};

async function open({ url, namespace }) {
  const client = connect(url);
  return { store: new MemcachedStore({ client, namespace }), close: () => client.close() };
}

async function openPeer({ url, namespace }) {
  const client = connect(url);
  const PeerStore = connectMemjs(session);
  return { store: new PeerStore({ client, prefix: `peer:${namespace}:` }), close: () => client.close() };
}

async function openDriver({ url, namespace }) {
  const client = connect(url);
  const key = (id) => `raw:${namespace}:${id}`;
  const expires = idleMs / 1_000;
  return {
    write: (id, text) => client.set(key(id), text, { expires }),
    read: (id) => client.get(key(id)),
    touch: (id) => client.touch(key(id), expires),
    remove: (id) => client.delete(key(id)),
    close: () => client.close(),
  };
}

/** Patient: on a busy machine the timeout of half a second would turn slowness into failures. */
function connect(url) {
  return memjs.Client.create(new URL(url).host, { timeout: 5, conntimeout: 5, keepAlive: true });
}
