import { MySQLStore } from "@sojourn/mysql";
import { startMySQL } from "@sojourn/test-fixtures";
import expressMySQLSession from "express-mysql-session";
import session from "express-session";
import { createPool } from "mysql2/promise";
import { idleMs } from "../lib/subjects.mjs";

export const backend = {
  title: "MySQL (MariaDB)",
  // The fixtures' server flushes its log once a second, which makes it fast. Users' servers flush at each commit.
  start: () => startMySQL({ args: ["--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=128M"] }),
  packages: ["mysql2", "express-mysql-session"],
  setting: "server defaults: the log flushed at each commit, a buffer pool of 128 MiB; a pool of 10 connections each",
  drivers: { "mysql2, execute": openDriver },
  peers: { "express-mysql-session": openPeer },
  open,
};

async function open({ url, namespace }) {
  const pool = openPool(url);
  const store = new MySQLStore({ pool, table: `ours_${namespace}` });
  await store.ensureSchema();
  return { store, close: () => pool.end() };
}

async function openPeer({ url, namespace }) {
  const pool = openPool(url);
  const PeerStore = expressMySQLSession(session);
  const store = new PeerStore({ schema: { tableName: `peer_${namespace}` }, endConnectionOnClose: false }, pool);
  await store.onReady();
  const close = async () => {
    await store.close();
    await pool.end();
  };
  return { store, close };
}

async function openDriver({ url, namespace }) {
  const pool = openPool(url);
  const table = `raw_${namespace}`;
  await pool.query(
    `CREATE TABLE ${table} (id VARBINARY(128) PRIMARY KEY, payload MEDIUMTEXT NOT NULL, expires BIGINT NOT NULL)`,
  );
  const upsert = `INSERT INTO ${table} VALUES (?, ?, ?)
ON DUPLICATE KEY UPDATE payload = VALUES(payload), expires = VALUES(expires)`;
  return {
    write: (id, text) => pool.execute(upsert, [id, text, Date.now() + idleMs]),
    read: (id) => pool.execute(`SELECT payload FROM ${table} WHERE id = ? AND expires > ?`, [id, Date.now()]),
    touch: (id) => pool.execute(`UPDATE ${table} SET expires = ? WHERE id = ?`, [Date.now() + idleMs, id]),
    remove: (id) => pool.execute(`DELETE FROM ${table} WHERE id = ?`, [id]),
    close: () => pool.end(),
  };
}

function openPool(uri) {
  return createPool({ uri, connectionLimit: 10 });
}
