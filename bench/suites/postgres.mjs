import { PostgresStore } from "@sojourn/postgres";
import { startPostgres } from "@sojourn/test-fixtures";
import connectPgSimple from "connect-pg-simple";
import session from "express-session";
import pg from "pg";
import { driverSubject, idleMs, managerSubject, peerSubject, storeSubject } from "../lib/subjects.mjs";

export const suite = {
  path: import.meta.url,
  title: "PostgreSQL",
  start: startDurablePostgres,
  packages: ["pg", "connect-pg-simple"],
  setting: "server defaults, fsync on; a pool of 10 connections each",
  subjects: {
    "pg, prepared statements": { level: "driver", open: openDriver },
    "connect-pg-simple": { level: "peer", open: openPeer },
    "Sojourn store": { level: "store", open: (place) => openOurs(storeSubject, place) },
    "Sojourn manager": { level: "manager", open: (place) => openOurs(managerSubject, place) },
  },
};

/** The fixtures' server forgets at a power cut, which makes it fast. Users' servers do not. */
export function startDurablePostgres() {
  return startPostgres({ settings: { fsync: "on", full_page_writes: "on" } });
}

export function openPool(url) {
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  pool.on("error", () => {});
  return pool;
}

async function openDriver(place) {
  const pool = openPool(place.url);
  const table = `raw_${place.namespace}`;
  await pool.query(`CREATE TABLE ${table} (id text PRIMARY KEY, payload text NOT NULL, expires timestamptz NOT NULL)`);
  const lifetime = `now() + interval '${idleMs} milliseconds'`;
  const upsert = `INSERT INTO ${table} VALUES ($1, $2, ${lifetime})
ON CONFLICT (id) DO UPDATE SET payload = EXCLUDED.payload, expires = EXCLUDED.expires`;
  const select = `SELECT payload FROM ${table} WHERE id = $1 AND expires > now()`;
  return driverSubject(
    {
      write: (id, text) => pool.query({ name: "write", text: upsert, values: [id, text] }),
      read: (id) => pool.query({ name: "read", text: select, values: [id] }),
      touch: (id) =>
        pool.query({ name: "touch", text: `UPDATE ${table} SET expires = ${lifetime} WHERE id = $1`, values: [id] }),
      remove: (id) => pool.query({ name: "remove", text: `DELETE FROM ${table} WHERE id = $1`, values: [id] }),
      close: () => pool.end(),
    },
    place,
  );
}

async function openPeer(place) {
  const pool = openPool(place.url);
  // Its indexes have the same names whatever the table's: a schema for each.
  const schemaName = `peer_${place.namespace}`;
  await pool.query(`CREATE SCHEMA ${schemaName}`);
  const PeerStore = connectPgSimple(session);
  const store = new PeerStore({ pool, schemaName, createTableIfMissing: true });
  // The table is made by the first call, and two first calls would both try.
  await new Promise((resolve, reject) => {
    store.get("nobody", (error) => (error ? reject(error) : resolve()));
  });
  return peerSubject(store, place, async () => {
    await store.close();
    await pool.end();
  });
}

async function openOurs(subject, place) {
  const pool = openPool(place.url);
  const store = new PostgresStore({ pool, table: `${subject.name}_${place.namespace}` });
  await store.ensureSchema();
  return subject(store, place, () => pool.end());
}
