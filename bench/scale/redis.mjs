/** Many sessions in one Redis: listing, counting, reading and removing them, and what that takes of the caller's memory. */
import { backend } from "../backends/redis.mjs";
import { besideOf } from "../lib/scale-suite.mjs";
import { idOf, userOf } from "../lib/session-data.mjs";
import { inBatches, observe, timeLists } from "./observe.mjs";

export const title = "Many sessions in Redis";
export const { packages, start } = backend;
export const setting = "200 bytes a session, 4 sessions a user";
export const sizes = { short: [10_000, 100_000, 1_000_000], full: [10_000, 100_000, 1_000_000], smoke: [2_000] };
export const runsInside = true;

/** connect-redis answers `all` with one command for all keys, which at a million fails after minutes. */
export const subjects = {
  Sojourn: { level: "store", open: openOurs },
  "connect-redis, node-redis 5": { level: "peer", most: 100_000, open: openPeer },
};

const payload = "x".repeat(200);
const dayMs = 86_400_000;

export async function measure(name, { url, urlBeside, sessions, runs }) {
  const open = (server) => subjects[name].open({ url: server, namespace: "scale" });
  const store = await open(url);
  const beside = await open(urlBeside);
  const measured = [];
  const record = (operation, figures) => measured.push({ key: { operation, sessions }, figures });
  await inBatches(sessions, store.create);
  await inBatches(Math.min(besideOf, sessions), beside.create);
  for (let run = 0; run < runs; run += 1) {
    if (store.list) {
      const list = () => store.list(sessions);
      record("list by user", await timeLists(list, () => beside.list(Math.min(besideOf, sessions))));
    }
    for (const operation of ["count", "scan"]) {
      // A walk of a million takes a while.
      if (run > 0 && sessions >= 1_000_000) continue;
      record(operation, await observe(store[operation]).catch(() => ({ fails: 1 })));
    }
  }
  record("clear", await observe(store.clear).catch(() => ({ fails: 1 })));
  await store.close();
  await beside.close();
  return measured;
}

async function openOurs(place) {
  const { store, close } = await backend.open(place);
  return {
    create: (n) => store.create({ id: idOf(n), userId: userOf(n), payload, idleMs: dayMs, absoluteMs: dayMs }),
    list: (sessions) => store.listByUser(userOf(Math.floor(Math.random() * sessions))),
    count: () => store.count(),
    async scan() {
      for await (const _ of store.scan()) {
      }
    },
    clear: () => store.clear(),
    close,
  };
}

async function openPeer(place) {
  const { store, close } = await backend.peers["connect-redis, node-redis 5"](place);
  const cookie = { originalMaxAge: dayMs };
  // Some of its methods call back, some only reject.
  const call = (method, ...args) =>
    new Promise((resolve, reject) => {
      Promise.resolve(store[method](...args, (error, value) => (error ? reject(error) : resolve(value)))).catch(reject);
    });
  return {
    create: (n) => call("set", idOf(n), { cookie, payload }),
    count: () => call("length"),
    scan: () => call("all"),
    clear: () => call("clear"),
    close,
  };
}
