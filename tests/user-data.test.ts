import { randomUUID } from "node:crypto";
import { type SessionData, SessionManager, type SessionStore, tokenToId } from "@sojourn/core";
import { MemcachedStore } from "@sojourn/memcached";
import { MongoStore } from "@sojourn/mongodb";
import { MySQLStore } from "@sojourn/mysql";
import { PostgresStore } from "@sojourn/postgres";
import { RedisStore } from "@sojourn/redis";
import {
  askMemcached,
  resolveMongo,
  resolveMySQL,
  resolvePostgres,
  startMemcached,
  startRedis,
  startRedisCluster,
} from "@sojourn/test-fixtures";
import { Cluster, Redis } from "ioredis";
import memjs from "memjs";
import { MongoClient } from "mongodb";
import { createPool } from "mysql2/promise";
import pg from "pg";
import { expect, test } from "vitest";

interface Backend {
  readonly store: SessionStore;
  /** All that the backend holds for this store, as text. */
  dump(): Promise<string>;
  close(): Promise<unknown>;
}

const table = `user_data_${randomUUID().replaceAll("-", "").slice(0, 12)}`;

async function dumpRedis(node: Redis): Promise<string> {
  const keys = await node.keys("*");
  // Not by DUMP, which compresses.
  const values = keys.map(async (key) =>
    (await node.type(key)) === "zset" ? (await node.zrange(key, "0", "-1")).join("\n") : await node.get(key),
  );
  return [...keys, ...(await Promise.all(values))].join("\n");
}

/** Each backend, and what of a user it still holds after an erasure: docs/user-data.md says for how long. */
const backends: [string, readonly string[], () => Promise<Backend>][] = [
  [
    "Redis",
    [],
    async () => {
      const server = await startRedis();
      const client = new Redis(server.url);
      const close = async (): Promise<void> => {
        await client.quit();
        await server.stop();
      };
      return { store: new RedisStore({ client }), dump: () => dumpRedis(client), close };
    },
  ],
  [
    "Redis Cluster",
    ["session id"],
    async () => {
      const server = await startRedisCluster();
      const client = new Cluster([...server.startupNodes]);
      const dump = async (): Promise<string> => (await Promise.all(client.nodes("master").map(dumpRedis))).join("\n");
      const close = async (): Promise<void> => {
        await client.quit();
        await server.stop();
      };
      return { store: new RedisStore({ client }), dump, close };
    },
  ],
  [
    "Memcached",
    [],
    async () => {
      const server = await startMemcached();
      const port = Number(new URL(server.url).port);
      const client = memjs.Client.create(server.url.replace("memcached://", ""));
      const dump = async (): Promise<string> => {
        const keys = [...(await askMemcached(port, "lru_crawler metadump all\r\n")).matchAll(/^key=(\S+)/gm)];
        const values = keys.map(([, key = ""]) => askMemcached(port, `get ${decodeURIComponent(key)}\r\n`));
        return (await Promise.all(values)).join("\n");
      };
      const close = async (): Promise<void> => {
        client.close();
        await server.stop();
      };
      return { store: new MemcachedStore({ client }), dump, close };
    },
  ],
  [
    "MongoDB",
    [],
    async () => {
      const server = await resolveMongo();
      const client = new MongoClient(server.url);
      const db = client.db(table);
      const store = new MongoStore({ client, dbName: table });
      await store.ensureSchema();
      const dump = async (): Promise<string> => {
        const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name);
        const documents = await Promise.all(names.map((name) => db.collection(name).find().toArray()));
        return JSON.stringify(documents, (_key, value) =>
          value?.type === "Buffer" ? Buffer.from(value.data).toString("latin1") : value,
        );
      };
      const close = async (): Promise<void> => {
        await db.dropDatabase();
        await client.close();
        await server.stop();
      };
      return { store, dump, close };
    },
  ],
  [
    "PostgreSQL",
    [],
    async () => {
      const server = await resolvePostgres();
      const pool = new pg.Pool({ connectionString: server.url });
      const store = new PostgresStore({ pool, table });
      await store.ensureSchema();
      const dump = async (): Promise<string> => {
        const { rows } = await pool.query(`SELECT t.*, encode(payload, 'escape') AS text FROM ${table} t`);
        return JSON.stringify(rows);
      };
      const close = async (): Promise<void> => {
        await pool.query(`DROP TABLE ${table} CASCADE`);
        await pool.end();
        await server.stop();
      };
      return { store, dump, close };
    },
  ],
  [
    "MySQL or MariaDB",
    ["user id"],
    async () => {
      const server = await resolveMySQL();
      const pool = createPool({ uri: server.url });
      const store = new MySQLStore({ pool, table });
      await store.ensureSchema();
      const dump = async (): Promise<string> => {
        const [sessions] = await pool.query(`SELECT * FROM ${table}`);
        const [guards] = await pool.query(`SELECT * FROM ${table}_guards`);
        return JSON.stringify([sessions, guards], (_key, value) =>
          value?.type === "Buffer" ? Buffer.from(value.data).toString("latin1") : value,
        );
      };
      const close = async (): Promise<void> => {
        await pool.query(`DROP TABLE ${table}, ${table}_guards`);
        await pool.end();
        await server.stop();
      };
      return { store, dump, close };
    },
  ],
];

test.each(backends)(
  "on %s an erased user leaves no data, no index, and no more ids than are documented",
  async (_name, leftBehind, open) => {
    const { store, dump, close } = await open();
    try {
      const sessionLimit = { max: 3, whenReached: "evictOldest" } as const;
      const manager = new SessionManager<SessionData>({ store, sweep: false, sessionLimit, timeoutMs: 10_000 });
      const userId = `user ${randomUUID()}`;
      const data = { secret: randomUUID() };
      const metadata = { ip: randomUUID() };
      const tokens: string[] = [];
      for (let n = 0; n < 5; n++) {
        const { token } = await manager.create({ userId, data, metadata });
        const fresh = await manager.regenerate(token, { update: (current) => ({ ...current, n }) });
        await manager.touch(fresh?.token ?? "");
        tokens.push(token, fresh?.token ?? "");
      }
      const secrets = {
        token: tokens,
        data: [data.secret],
        metadata: [metadata.ip],
        "user id": [userId],
        "session id": tokens.map(tokenToId),
      };
      const before = await dump();
      // The dump shows what is there: otherwise nothing would be proven below.
      for (const marker of [data.secret, metadata.ip, userId]) expect(before.includes(marker)).toBe(true);
      for (const token of tokens) expect(before).not.toContain(token);
      expect(before).toContain(tokenToId(tokens.at(-1) ?? ""));

      expect(await manager.destroyByUser(userId)).toHaveLength(3);
      expect(await manager.exportUser(userId)).toEqual({ userId, sessions: [], unreadable: [] });
      const after = await dump();
      const left = Object.entries(secrets).filter(([, markers]) => markers.some((marker) => after.includes(marker)));
      expect(left.map(([name]) => name)).toEqual(leftBehind);
    } finally {
      await close();
    }
  },
);
