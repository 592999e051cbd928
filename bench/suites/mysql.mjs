import { createRequire } from "node:module";
import { MySQLStore } from "@sojourn/mysql";
import { startMySQL } from "@sojourn/test-fixtures";
import session from "express-session";
import { createPool } from "mysql2/promise";
import { driverSubject, idleMs, managerSubject, peerSubject, storeSubject } from "../lib/subjects.mjs";

const expressMySQLSession = createRequire(import.meta.url)("express-mysql-session");

export const suite = {
  path: import.meta.url,
  title: "MySQL (MariaDB)",
  start: startDurableMySQL,
  packages: ["mysql2", "express-mysql-session"],
  setting:
    "a log flushed at each commit and a buffer pool of 128 MiB, which are the server's defaults; a pool of 10 connections each",
  subjects: {
    "mysql2, execute": { level: "driver", open: openDriver },
    "express-mysql-session": { level: "peer", open: openPeer },
    "Sojourn store": { level: "store", open: (place) => openOurs(storeSubject, place) },
    "Sojourn manager": { level: "manager", open: (place) => openOurs(managerSubject, place) },
  },
};

/** The fixtures' server flushes its log once a second, which makes it fast. Users' servers flush at each commit. */
export function startDurableMySQL() {
  return startMySQL({ args: ["--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=128M"] });
}

async function openDriver(place) {
  const pool = createPool({ uri: place.url, connectionLimit: 10 });
  const table = `raw_${place.namespace}`;
  await pool.query(
    `CREATE TABLE ${table} (id VARBINARY(128) PRIMARY KEY, payload MEDIUMTEXT NOT NULL, expires BIGINT NOT NULL)`,
  );
  const upsert = `INSERT INTO ${table} VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE payload = VALUES(payload), expires = VALUES(expires)`;
  return driverSubject(
    {
      write: (id, text) => pool.execute(upsert, [id, text, Date.now() + idleMs]),
      read: (id) => pool.execute(`SELECT payload FROM ${table} WHERE id = ? AND expires > ?`, [id, Date.now()]),
      touch: (id) => pool.execute(`UPDATE ${table} SET expires = ? WHERE id = ?`, [Date.now() + idleMs, id]),
      remove: (id) => pool.execute(`DELETE FROM ${table} WHERE id = ?`, [id]),
      close: () => pool.end(),
    },
    place,
  );
}

async function openPeer(place) {
  const pool = createPool({ uri: place.url, connectionLimit: 10 });
  const PeerStore = expressMySQLSession(session);
  const store = new PeerStore({ schema: { tableName: `peer_${place.namespace}` }, endConnectionOnClose: false }, pool);
  await store.onReady();
  return peerSubject(store, place, async () => {
    await store.close();
    await pool.end();
  });
}

async function openOurs(subject, place) {
  const pool = createPool({ uri: place.url, connectionLimit: 10 });
  const store = new MySQLStore({ pool, table: `${subject.name}_${place.namespace}` });
  await store.ensureSchema();
  return subject(store, place, () => pool.end());
}
