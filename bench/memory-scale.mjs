/**
 * What a million sessions cost in memory: the bytes of each, one read and one touch beside those at a thousand, and the
 * longest pause while half of them expire. Each contestant runs in a process of its own.
 *
 *     pnpm --filter @sojourn/bench memory-scale [sessions]
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Sweeper } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";

const payloadLength = 200;
const minuteMs = 60_000;
const shortMs = 30 * minuteMs;
const longMs = 600 * minuteMs;
const operations = 200_000;
const rounds = 5;

const fourEach = (n) => `user-${Math.floor(n / 4)}`;
const oneEach = (n) => `user-${n}`;
const nobody = () => undefined;

const contestants = {
  "MemoryStore, 4 sessions a user": () => openMemoryStore(fourEach),
  "Map + user index, 4 sessions a user": () => openMap(fourEach),
  "MemoryStore, 1 session a user": () => openMemoryStore(oneEach),
  "Map + user index, 1 session a user": () => openMap(oneEach),
  "MemoryStore, anonymous": () => openMemoryStore(nobody),
  "Map alone": () => openMap(nobody),
  "memorystore 1.6.8": openPeer,
};

/** Time passes at once: every contestant asks `Date.now`. */
let passedMs = 0;
const realNow = Date.now;
Date.now = () => realNow() + passedMs;

const [sessions = "1000000", contestant] = process.argv.slice(2);
if (contestant === undefined) compare(Number(sessions));
else process.stdout.write(JSON.stringify(await measure(contestants[contestant], Number(sessions))));

function compare(count) {
  const results = Object.keys(contestants).map((name) => {
    const script = fileURLToPath(import.meta.url);
    const args = ["--expose-gc", "--max-old-space-size=6000", script, String(count), name];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${name}: ${stderr}`);
    return { name, ...JSON.parse(stdout) };
  });
  console.table(Object.fromEntries(results.map(({ name, ...figures }) => [name, figures])));
  console.log(JSON.stringify({ node: process.version, sessions: count, results }));
}

async function measure(open, count) {
  const store = open();
  const small = open();
  await fill(small, 1_000);
  const atOneThousand = await timeOperations(small, 1_000);
  const before = memory();
  await fill(store, count);
  const after = memory();
  const atFullSize = await timeOperations(store, count);
  return {
    bytesPerSession: Math.round((after.used - before.used) / count),
    rssPerSession: Math.round((after.rss - before.rss) / count),
    getNsAt1000: atOneThousand.get,
    getNs: atFullSize.get,
    touchNsAt1000: atOneThousand.touch,
    touchNs: atFullSize.touch,
    ...(store.sweep && (await expireHalf(store))),
  };
}

/** Every other session, an even one, ends early. */
async function fill(store, count) {
  for (let n = 0; n < count; n += 1) {
    await store.create(n, idOf(n), payloadLength, n % 2 === 0 ? shortMs : longMs);
  }
}

/** The median of some rounds, in nanoseconds. Each id is a string of its own, as it comes from a request. */
async function timeOperations(store, count) {
  const times = { get: [], touch: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const operation of Object.keys(times)) {
      if (store[operation] === undefined) continue;
      const ids = Array.from({ length: operations }, () => idOf(1 + 2 * Math.floor((Math.random() * count) / 2)));
      const begin = process.hrtime.bigint();
      for (const id of ids) await store[operation](id);
      times[operation].push(Number(process.hrtime.bigint() - begin) / operations);
    }
  }
  const median = (values) => values.map(Math.round).sort((a, b) => a - b)[rounds >> 1];
  return { get: median(times.get), touch: median(times.touch) };
}

async function expireHalf(store) {
  passedMs += shortMs;
  memory();
  // The finalizers of what this script left behind, its hashes above all, are not the store's pause.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  let longest = 0;
  let last = performance.now();
  let watching = true;
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (watching) setImmediate(tick);
  };
  tick();
  const begin = performance.now();
  const expired = await store.sweep();
  const sweepMs = Math.round(performance.now() - begin);
  await new Promise((resolve) => setImmediate(resolve));
  watching = false;
  return { expired, sweepMs, longestPauseMs: Math.round(longest * 10) / 10 };
}

function memory() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { used: heapUsed + external, rss };
}

function idOf(n) {
  return createHash("sha256").update(`session ${n}`).digest("base64url");
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
    sweep: () => new Sweeper({ store }).run(),
  };
}

/** What an application would write in its place, without expiry. */
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
  };
}

function openPeer() {
  const require = createRequire(import.meta.url);
  const PeerStore = require("memorystore")(require("express-session"));
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
