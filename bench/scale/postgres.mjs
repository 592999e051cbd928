/** Many sessions in one PostgreSQL: listing, counting and reading them, and what a sweep of half of them costs readers. */
import { Sweeper } from "@sojourn/core";
import pg from "pg";
import { backend } from "../backends/postgres.mjs";
import { load } from "../lib/load.mjs";
import { besideOf } from "../lib/scale-suite.mjs";
import { observe, timeLists } from "./observe.mjs";

export const title = "Many sessions in PostgreSQL";
export const { packages, start } = backend;
export const setting = "200 bytes a session, 4 sessions a user; the sweep runs in the process that reads, 64 at a time";
export const sizes = { short: [10_000, 100_000, 1_000_000], full: [10_000, 100_000, 1_000_000], smoke: [2_000] };
export const runsInside = true;
export const subjects = { Sojourn: { level: "store" } };

const payload = "x".repeat(200);
const dayMs = 86_400_000;
/** Rows that the store itself makes; the others are their copies. */
const originals = 1_000;
const windowMs = 1_500;

export async function measure(_name, { url, urlBeside, sessions, runs }) {
  const { store, admin, close } = await openFilled(url, sessions);
  const beside = await openFilled(urlBeside, Math.min(besideOf, sessions));
  const measured = [];
  const record = (operation, figures) => measured.push({ key: { operation, sessions }, figures });
  const userOf = (copies) => `user-${random(originals / 4)}-copy-${1 + random(copies - 1)}`;
  const list = () => store.listByUser(userOf(sessions / originals));
  const listBeside = () => beside.store.listByUser(userOf(Math.min(besideOf, sessions) / originals));
  for (let run = 0; run < runs; run += 1) {
    record("list by user", await timeLists(list, listBeside));
    // Counts and walks of a million take a while.
    if (run > 0 && sessions >= 1_000_000) continue;
    record("count", await observe(() => store.count()));
    record("scan", await observe(() => walk(store)));
  }
  await beside.close();
  await measureSweep(store, admin, { sessions, runs, record });
  await close();
  return measured;
}

async function openFilled(url, sessions) {
  const { store, close } = await backend.open({ url, namespace: "scale" });
  const admin = new pg.Client({ connectionString: url });
  await admin.connect();
  await fill(store, admin, sessions);
  return {
    store,
    admin,
    async close() {
      await admin.end();
      await store.close();
      await close();
    },
  };
}

function random(below) {
  return Math.floor(Math.random() * below);
}

async function walk(store) {
  for await (const _ of store.scan()) {
  }
}

/** Windows of reads before the sweep, and as many while it goes on: the last one ends with it, and counts if it is long enough. */
async function measureSweep(store, admin, { sessions, runs, record }) {
  await expireHalf(store, admin, sessions);
  const readable = Array.from({ length: originals }, (_, n) => `id-${n}-copy-1`);
  const readWhile = (isOn) =>
    load({
      operation: (caller, step) => (isOn() ? store.get(readable[(caller + step * 64) % originals]) : undefined),
      concurrency: 64,
      durationMs: windowMs,
    });
  await readWhile(() => true);
  for (let run = 0; run < runs; run += 1) record("get, idle", figuresOf(await readWhile(() => true)));
  let isSweeping = true;
  const begin = performance.now();
  const sweep = new Sweeper({ store }).run().finally(() => {
    isSweeping = false;
  });
  for (let run = 0; run < runs && isSweeping; run += 1) {
    const window = await readWhile(() => isSweeping);
    if (run === 0 || window.elapsedMs >= windowMs / 2) record("get, while it is swept", figuresOf(window));
  }
  record("sweep", { swept: await sweep, ms: performance.now() - begin });
}

function figuresOf({ operations, elapsedMs, p50Us, p99Us }) {
  return { opsPerSecond: (operations / elapsedMs) * 1_000, p50Us, p99Us };
}

async function fill(store, admin, sessions) {
  for (let n = 0; n < originals; n += 1) {
    await store.create({
      id: `id-${n}`,
      userId: `user-${Math.floor(n / 4)}`,
      payload,
      idleMs: dayMs,
      absoluteMs: dayMs,
    });
  }
  await copy(admin, "id LIKE 'id-%'", sessions / originals - 1);
}

/** As many again, which end at once. */
async function expireHalf(store, admin, sessions) {
  const lifetimeMs = 1_000;
  for (let n = 0; n < originals; n += 1) {
    await store.create({ id: `old-${n}`, payload, idleMs: lifetimeMs, absoluteMs: lifetimeMs });
  }
  await copy(admin, "id LIKE 'old-%'", sessions / 2 / originals - 1);
  // Pending writes of the filling would slow the reads before the sweep, and so hide the cost of the sweep.
  await admin.query("CHECKPOINT");
  await new Promise((resolve) => setTimeout(resolve, lifetimeMs));
}

/** Copies rows with any columns, under new ids and users. */
async function copy(admin, condition, copies) {
  const table = "ours_scale";
  const { rows } = await admin.query(
    "SELECT column_name AS name FROM information_schema.columns WHERE table_name = $1",
    [table],
  );
  const columns = rows.map(({ name }) => name);
  const values = columns.map((name) => (["id", "user_id"].includes(name) ? `${name} || '-copy-' || number` : name));
  await admin.query(
    `INSERT INTO ${table} (${columns}) SELECT ${values} FROM ${table} CROSS JOIN generate_series(1, ${copies}) number
WHERE ${condition}`,
  );
  await admin.query(`VACUUM (ANALYZE) ${table}`);
}
