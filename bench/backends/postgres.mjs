import { PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import connectPgSimple from "connect-pg-simple";
import session from "express-session";
import pg from "pg";
import { idleMs } from "../lib/subjects.mjs";

export const backend = {
  title: "PostgreSQL",
  // The fixtures' server forgets at a power cut, which makes it fast. Users' servers do not.
  start: () => startPostgres({ settings: { fsync: "on", full_page_writes: "on" } }),
  packages: ["pg", "connect-pg-simple"],
  setting: "server defaults, fsync on; a pool of 10 connections each",
  drivers: { "pg, prepared statements": openDriver },
  peers: { "connect-pg-simple": openPeer },
  open,
};

async function open({ url, namespace }) {
  const pool = openPool(url);
  const store = new PostgresStore({ pool, table: `ours_${namespace}` });
  await store.ensureSchema();
  return { store, close: () => pool.end() };
}

async function openPeer({ url, namespace }) {
  const pool = openPool(url);
  // Its indexes have the same names for every table: each table needs its own schema.
  const schemaName = `peer_${namespace}`;
  await pool.query(`CREATE SCHEMA ${schemaName}`);
  const PeerStore = connectPgSimple(session);
  const store = new PeerStore({ pool, schemaName, createTableIfMissing: true });
  // The table is made by the first call, and two first calls would both try.
  await new Promise((resolve, reject) => {
    store.get("nobody", (error) => (error ? reject(error) : resolve()));
  });
  const close = async () => {
    await store.close();
    await pool.end();
  };
  return { store, close };
}

async function openDriver({ url, namespace }) {
  const pool = openPool(url);
  const table = `raw_${namespace}`;
  await pool.query(`CREATE TABLE ${table} (id text PRIMARY KEY, payload text NOT NULL, expires timestamptz NOT NULL)`);
  const lifetime = `now() + interval '${idleMs} milliseconds'`;
  const upsert = `INSERT INTO ${table} VALUES ($1, $2, ${lifetime})
ON CONFLICT (id) DO UPDATE SET payload = EXCLUDED.payload, expires = EXCLUDED.expires`;
  const select = `SELECT payload FROM ${table} WHERE id = $1 AND expires > now()`;
  const touch = `UPDATE ${table} SET expires = ${lifetime} WHERE id = $1`;
  return {
    write: (id, text) => pool.query({ name: "write", text: upsert, values: [id, text] }),
    read: (id) => pool.query({ name: "read", text: select, values: [id] }),
    touch: (id) => pool.query({ name: "touch", text: touch, values: [id] }),
    remove: (id) => pool.query({ name: "remove", text: `DELETE FROM ${table} WHERE id = $1`, values: [id] }),
    close: () => pool.end(),
  };
}

function openPool(url) {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  pool.on("error", () => {});
  return pool;
}
