/**
 * 150,000 sessions in one Redis: how long each store takes to count, read and remove them all, what that costs it in
 * memory, and whether it succeeds. Each contestant runs in a process of its own, on a database of its own.
 *
 *     REDIS_URL=redis://localhost pnpm --filter @sojourn/bench redis-scale [sessions]
 *
 * Empties databases 14 and 15 of that server. Without REDIS_URL a redis-server is started for the run.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { RedisStore } from "@sojourn/redis";
import { RedisStore as ConnectRedis } from "connect-redis";
import { Redis } from "ioredis";
import { createClient } from "redis";

const payload = "x".repeat(500);
const dayMs = 86_400_000;

const contestants = { "@sojourn/redis": openSojourn, "connect-redis 9": openPeer };

const [sessions = "150000", contestant] = process.argv.slice(2);
if (contestant === undefined) await compare(Number(sessions));
else process.stdout.write(JSON.stringify(await measure(contestants[contestant], Number(sessions))));

async function compare(count) {
  const server = process.env.REDIS_URL ? undefined : await startServer();
  try {
    const env = { ...process.env, REDIS_URL: server?.url ?? process.env.REDIS_URL };
    const rows = Object.keys(contestants).map((name) => {
      const script = fileURLToPath(import.meta.url);
      const { stdout, stderr, status } = spawnSync(process.execPath, ["--expose-gc", script, String(count), name], {
        encoding: "utf8",
        env,
      });
      if (status !== 0) throw new Error(`${name}: ${stderr}`);
      return [name, JSON.parse(stdout)];
    });
    for (const operation of ["count", "readAll", "clear"]) {
      console.log(`${operation} of ${count} sessions`);
      console.table(Object.fromEntries(rows.map(([name, figures]) => [name, figures[operation]])));
    }
  } finally {
    server?.stop();
  }
}

async function measure(open, count) {
  const store = await open();
  await store.fill(count);
  const figures = {};
  for (const operation of ["count", "readAll", "clear"]) figures[operation] = await observe(store[operation]);
  await store.close();
  return figures;
}

/** Time and the most memory that one operation took beyond what there was before. */
async function observe(operation) {
  globalThis.gc();
  const before = process.memoryUsage().rss;
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 5);
  const startedAt = performance.now();
  const result = await operation().catch((error) => `fails: ${error.message}`);
  clearInterval(timer);
  peak = Math.max(peak, process.memoryUsage().rss);
  return { result, ms: Math.round(performance.now() - startedAt), "MB more": Math.round((peak - before) / 1_048_576) };
}

async function openSojourn() {
  const client = new Redis(process.env.REDIS_URL, { db: 15 });
  await client.flushdb();
  const store = new RedisStore({ client });
  return {
    fill: (count) =>
      inBatches(count, (n) =>
        store.create({ id: `id ${n}`, userId: `user ${n % 1_000}`, payload, idleMs: dayMs, absoluteMs: dayMs }),
      ),
    count: async () => (await store.count()).sessions,
    readAll: async () => {
      let read = 0;
      for await (const _ of store.scan()) read++;
      return read;
    },
    clear: async () => {
      await store.clear();
      return `${await client.dbsize()} keys left`;
    },
    close: () => client.quit(),
  };
}

async function openPeer() {
  const client = createClient({ url: process.env.REDIS_URL, database: 14 });
  client.on("error", () => {});
  await client.connect();
  await client.flushDb();
  const store = new ConnectRedis({ client });
  const cookie = { originalMaxAge: dayMs };
  return {
    fill: (count) => inBatches(count, (n) => promised((done) => store.set(`id ${n}`, { cookie, payload }, done))),
    count: () => promised((done) => store.length(done)),
    readAll: async () => (await promised((done) => store.all(done))).length,
    clear: async () => {
      await promised((done) => store.clear(done));
      return `${await client.dbSize()} keys left`;
    },
    close: () => client.quit(),
  };
}

async function inBatches(count, act) {
  for (let start = 0; start < count; start += 1_000) {
    await Promise.all(Array.from({ length: Math.min(1_000, count - start) }, (_, n) => act(start + n)));
  }
}

function promised(call) {
  return new Promise((resolve, reject) => {
    // Some of its methods call back, some only reject.
    Promise.resolve(call((error, value) => (error ? reject(error) : resolve(value)))).catch(reject);
  });
}

async function startServer() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  const dir = mkdtempSync(path.join(tmpdir(), "sojourn-bench-"));
  const where = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", where, { stdio: "ignore" });
  const url = `redis://127.0.0.1:${port}`;
  const stop = () => {
    child.kill();
    rmSync(dir, { recursive: true, force: true });
  };
  process.once("exit", stop);
  const client = new Redis(url);
  client.on("error", () => {});
  await client.ping();
  client.disconnect();
  return { url, stop };
}
