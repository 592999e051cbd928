/**
 * Measures the cost of many sessions in memory: the bytes of each, a read, a touch and a list of one user's beside those among few, and
 * the longest pause of the event loop while half of them expire.
 */
import { setTimeout as wait } from "node:timers/promises";
import { Sweeper } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import expressSession from "express-session";
import memorystore from "memorystore";
import { besideOf } from "../lib/scale-suite.mjs";
import { median } from "../lib/statistics.mjs";

export const title = "Many sessions in memory";
export const packages = ["memorystore"];
export const setting =
  "200 characters a session; half of them expire, in the first sweep of a new process; at rest is the same process, with the same heap, for half a second before; each subject, size and run in a process of its own";

const payloadLength = 200;
const minuteMs = 60_000;
const shortMs = 30 * minuteMs;
const longMs = 600 * minuteMs;
const operations = 20_000;
const rounds = 5;
const restMs = 500;

const fourEach = (n) => `user-${Math.floor(n / 4)}`;
const oneEach = (n) => `user-${n}`;
const nobody = () => undefined;

/** `isExtra` ones are part of a full run only. */
export const subjects = {
  "MemoryStore, 4 sessions a user": { level: "store", open: () => openMemoryStore(fourEach) },
  "Map with user index, 4 sessions a user": { level: "driver", open: () => openMap(fourEach) },
  memorystore: { level: "peer", open: openPeer },
  "MemoryStore, 1 session a user": { level: "store", isExtra: true, open: () => openMemoryStore(oneEach) },
  "Map with user index, 1 session a user": { level: "driver", isExtra: true, open: () => openMap(oneEach) },
  "MemoryStore, anonymous": { level: "store", isExtra: true, open: () => openMemoryStore(nobody) },
  "Map alone": { level: "driver", isExtra: true, open: () => openMap(nobody) },
};

/** Sizes, and how often each is measured: a million takes its time. */
export const sizes = { short: [10_000, 100_000, 1_000_000], full: [10_000, 100_000, 1_000_000], smoke: [2_000] };
export const execArgv = ["--expose-gc", "--max-old-space-size=6000"];

/** Time passes at once: every subject asks `Date.now`. */
let passedMs = 0;
const realNow = Date.now;

/** In a process of its own, because time does not come back. */
export async function measure(name, { sessions }) {
  Date.now = () => realNow() + passedMs;
  const beside = subjects[name].open();
  const store = subjects[name].open();
  const few = Math.min(besideOf, sessions);
  await fill(beside, few);
  const before = memory();
  await fill(store, sessions);
  const after = memory();
  const figures = {
    bytesPerSession: (after.used - before.used) / sessions,
    residentBytesPerSession: (after.rss - before.rss) / sessions,
    ...(await timeOperations(store, sessions, beside, few)),
    ...(store.sweep && (await expireHalf(store))),
  };
  return [{ key: { operation: "hold", sessions }, figures }];
}

/** Every other session, an even one, ends early. */
async function fill(store, count) {
  for (let n = 0; n < count; n += 1) {
    await store.create(n, idOf(n), payloadLength, n % 2 === 0 ? shortMs : longMs);
  }
}

/** The medians of some rounds, in turns with the same among few sessions. */
async function timeOperations(store, count, beside, few) {
  const figures = {};
  for (const [operation, measure, unitNs] of [
    ["get", "getNs", 1],
    ["touch", "touchNs", 1],
    ["list", "listUs", 1_000],
  ]) {
    if (store[operation] === undefined) continue;
    const values = [];
    const valuesBeside = [];
    for (let round = 0; round < rounds; round += 1) {
      values.push((await timeRound(store, operation, count)) / unitNs);
      valuesBeside.push((await timeRound(beside, operation, few)) / unitNs);
    }
    figures[measure] = median(values);
    figures[`${measure}Beside`] = median(valuesBeside);
  }
  return figures;
}

/** Nanoseconds a call. Each id is a string of its own, as it comes from a request. */
async function timeRound(store, operation, count) {
  const numbers = Array.from({ length: operations }, () => 1 + 2 * Math.floor((Math.random() * count) / 2));
  const names = numbers.map(operation === "list" ? fourEach : idOf);
  const begin = process.hrtime.bigint();
  for (const name of names) await store[operation](name);
  return Number(process.hrtime.bigint() - begin) / operations;
}

async function expireHalf(store) {
  passedMs += shortMs;
  memory();
  // The finalizers of what this script left behind are not the store's pause.
  await wait(restMs);
  const rest = await watchPauses(() => wait(restMs));
  const sweep = await watchPauses(() => store.sweep());
  return {
    expired: sweep.value,
    sweepMs: sweep.ms,
    longestPauseMs: sweep.longestPauseMs,
    longestPauseAtRestMs: rest.longestPauseMs,
  };
}

/** The longest wait of another task for its turn, for any reason: the operation, garbage collection, the machine. */
async function watchPauses(act) {
  let longestPauseMs = 0;
  let last = performance.now();
  let watching = true;
  const tick = () => {
    const now = performance.now();
    longestPauseMs = Math.max(longestPauseMs, now - last);
    last = now;
    if (watching) setImmediate(tick);
  };
  tick();
  const begin = performance.now();
  const value = await act();
  const ms = performance.now() - begin;
  await new Promise((resolve) => setImmediate(resolve));
  watching = false;
  return { value, ms, longestPauseMs };
}

function memory() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { used: heapUsed + external, rss };
}

const idBytes = Buffer.alloc(32);

/** Looks like a random token, is made anew at each call, and takes a tenth of a hash's time: a million are made here. */
function idOf(n) {
  for (let word = 0; word < 8; word += 1) {
    let bits = Math.imul(n + 1, 0x9e3779b1) + Math.imul(word, 0x85ebca6b);
    bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    idBytes.writeInt32LE(bits ^ (bits >>> 15), word * 4);
  }
  return idBytes.toString("base64url");
}

/** A flat string that shares nothing with another, as `JSON.stringify` makes it. */
function textOf(n, length) {
  return Buffer.alloc(length, `${n} `).toString("latin1");
}

function openMemoryStore(userOf) {
  const store = new MemoryStore({ maxSessions: 1e9, maxBytes: 2 ** 40 });
  return {
    create: (n, id, length, idleMs) =>
      store.create({ id, userId: userOf(n), payload: textOf(n, length), idleMs, absoluteMs: longMs }),
    get: (id) => store.get(id),
    touch: (id) => store.touch(id, { idleMs: longMs }),
    ...(userOf === fourEach && { list: (userId) => store.listByUser(userId) }),
    sweep: () => new Sweeper({ store }).run(),
  };
}

/** The store that an application would write itself, without expiry. */
function openMap(userOf) {
  const payloads = new Map();
  const idsByUser = new Map();
  return {
    create(n, id, length) {
      payloads.set(id, textOf(n, length));
      const userId = userOf(n);
      if (userId === undefined) return;
      const ids = idsByUser.get(userId);
      if (ids === undefined) idsByUser.set(userId, new Set([id]));
      else ids.add(id);
    },
    get: (id) => payloads.get(id),
    ...(userOf === fourEach && { list: (userId) => Array.from(idsByUser.get(userId), (id) => payloads.get(id)) }),
  };
}

function openPeer() {
  const PeerStore = memorystore(expressSession);
  // No timer of its own: `prune`, which that timer would call, is called here.
  const store = new PeerStore({});
  const session = (maxAge, data) => ({ cookie: { maxAge }, data });
  return {
    /** Its payload is the whole session as JSON, which is to be as long as everybody's. */
    create(n, id, length, maxAge) {
      const around = JSON.stringify(session(maxAge, "")).length;
      store.set(id, session(maxAge, textOf(n, length - around)));
    },
    get: (id) => new Promise((resolve) => store.get(id, resolve)),
    touch: (id) => new Promise((resolve) => store.touch(id, session(longMs, ""), resolve)),
    async sweep() {
      const before = store.store.length;
      store.prune();
      return before - store.store.length;
    },
  };
}
