import { randomBytes } from "node:crypto";
import type { SessionStore } from "@sojourn/core";
import type { SessionRecord } from "@sojourn/core/adapter";
import { MemcachedStore } from "@sojourn/memcached";
import { MemoryStore } from "@sojourn/memory";
import { MongoStore } from "@sojourn/mongodb";
import { MySQLStore } from "@sojourn/mysql";
import { PostgresStore } from "@sojourn/postgres";
import { RedisStore } from "@sojourn/redis";
import {
  findMongoDB,
  listMemcachedItems,
  resolveMemcached,
  resolveMySQL,
  resolvePostgres,
  resolveRedis,
  startMongoJavaServer,
  startRedisCluster,
} from "@sojourn/test-fixtures";
import { Cluster, Redis } from "ioredis";
import memjs from "memjs";
import { createPool, type RowDataPacket } from "mysql2/promise";
import pg from "pg";
// Driver 6 also speaks to mongo-java-server, whose updates are atomic where FerretDB's are not.
import { openClient6 } from "../packages/stores/mongodb/test/harness.js";

/**
 * A backend on a real server, as an application uses it, and a dump of all stored bytes, as a thief would read them.
 */
export interface Backend {
  open(namespace: string): Promise<SessionStore>;
  /** Every key, row and document of the namespace, byte for byte as Latin-1. */
  dump(namespace: string): Promise<string>;
  stop(): Promise<void>;
  /** Where a race costs seconds: how many of a hundred are run. */
  readonly races?: number;
}

/** Patient: a busy machine is no outage. */
const timeoutMs = 60_000;

/** Belongs to this run only, because the server may be a permanent one: a schema or database, removed at the end. */
const own = `sojourn_test_${randomBytes(4).toString("hex")}`;
type Row = Readonly<Record<string, unknown>>;

const starts: Readonly<Record<string, () => Promise<Backend>>> = {
  memory: startMemory,
  Redis: startRedis,
  "Redis Cluster": startCluster,
  memcached: startMemcached,
  PostgreSQL: startPostgres,
  "MySQL or MariaDB": startMySQL,
  MongoDB: startMongo,
};

export const backends: readonly string[] = Object.keys(starts);

const started = new Map<string, Promise<Backend>>();

/** The backend of this name, started when it is first asked for. */
export function startBackend(name: string): Promise<Backend> {
  const start = starts[name];
  if (start === undefined) throw new Error(`There is no backend "${name}"`);
  const backend = started.get(name) ?? start();
  started.set(name, backend);
  return backend;
}

export async function stopBackends(): Promise<void> {
  for (const backend of started.values()) await (await backend).stop();
}

let namespaces = 0;

/** A name that no other test uses, fit for a table. */
export function newNamespace(): string {
  namespaces += 1;
  return `${own}_${namespaces}`;
}

/** Records are all that it keeps. */
async function startMemory(): Promise<Backend> {
  const stores = new Map<string, MemoryStore>();
  return {
    async open(namespace) {
      const store = new MemoryStore();
      stores.set(namespace, store);
      return store;
    },
    async dump(namespace) {
      const records: SessionRecord[] = [];
      for await (const record of stores.get(namespace)?.scan() ?? []) records.push(record);
      return JSON.stringify(records);
    },
    stop: async () => {},
  };
}

async function startRedis(): Promise<Backend> {
  const server = await resolveRedis();
  const client = new Redis(server.url);
  return {
    open: async (prefix) => new RedisStore({ client, prefix, timeoutMs }),
    dump: (prefix) => dumpRedis(client, [client], prefix),
    async stop() {
      client.disconnect();
      await server.stop();
    },
  };
}

async function startCluster(): Promise<Backend> {
  const server = await startRedisCluster();
  const client = new Cluster([...server.startupNodes]);
  return {
    open: async (prefix) => new RedisStore({ client, prefix, timeoutMs }),
    dump: (prefix) => dumpRedis(client, client.nodes("master"), prefix),
    async stop() {
      client.disconnect();
      await server.stop();
    },
  };
}

async function dumpRedis(client: Redis | Cluster, nodes: readonly Redis[], prefix: string): Promise<string> {
  const parts: string[] = [];
  for (const node of nodes) {
    for await (const keys of node.scanStream({ match: `*${prefix}*`, count: 1_000 }) as AsyncIterable<string[]>) {
      for (const key of keys) parts.push(...(await dumpRedisKey(client, key)));
    }
  }
  return parts.join("\n");
}

/** Reads a key by its type, because the result of `DUMP` is compressed. A key that has expired gives nothing. */
async function dumpRedisKey(client: Redis | Cluster, key: string): Promise<string[]> {
  const type = await client.type(key);
  if (type === "none") return [];
  if (type !== "string" && type !== "zset") throw new Error(`${key} is a ${type}, which this test does not read`);
  const value = type === "string" ? await client.getBuffer(key) : await client.zrangeBuffer(key, "0", "-1");
  return [key, ...[value].flat().map((bytes) => bytes?.toString("latin1") ?? "")];
}

async function startMemcached(): Promise<Backend> {
  const server = await resolveMemcached();
  const client = memjs.Client.create(server.url.replace("memcached://", ""), { timeout: 60, conntimeout: 60 });
  return {
    open: async (namespace) => new MemcachedStore({ client, namespace, timeoutMs }),
    // Its keys are hashes of the namespace: all are read.
    async dump() {
      const items = await listMemcachedItems(Number(new URL(server.url).port));
      const parts: string[] = [];
      for (const item of items) {
        const encoded = /^key=(\S+)/.exec(item)?.[1];
        if (encoded === undefined) continue;
        const key = decodeURIComponent(encoded);
        parts.push(key, (await client.get(key)).value?.toString("latin1") ?? "");
      }
      return parts.join("\n");
    },
    async stop() {
      client.close();
      await server.stop();
    },
  };
}

async function startPostgres(): Promise<Backend> {
  const server = await resolvePostgres();
  const pool = new pg.Pool({ connectionString: server.url });
  // The server ends before every connection has said goodbye.
  pool.on("error", () => {});
  return {
    async open(table) {
      const store = new PostgresStore({ pool, schema: own, table, timeoutMs });
      await store.ensureSchema();
      return store;
    },
    async dump(table) {
      const sql = "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND starts_with(tablename, $2)";
      const tables = (await pool.query<{ tablename: string }>(sql, [own, table])).rows;
      const read = tables.map(({ tablename }) => pool.query<Row>(`SELECT * FROM "${own}"."${tablename}"`));
      return textOf((await Promise.all(read)).flatMap(({ rows }) => rows));
    },
    async stop() {
      await pool.query(`DROP SCHEMA IF EXISTS "${own}" CASCADE`);
      await pool.end();
      await server.stop();
    },
  };
}

async function startMySQL(): Promise<Backend> {
  const server = await resolveMySQL();
  const owner = createPool(server.url);
  await owner.query(`CREATE DATABASE ${own}`);
  const pool = createPool({ uri: server.url, database: own });
  return {
    async open(table) {
      const store = new MySQLStore({ pool, table, timeoutMs });
      await store.ensureSchema();
      return store;
    },
    async dump(table) {
      const [tables] = await pool.query<(RowDataPacket & { name: string })[]>(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = ?",
        [own],
      );
      const names = tables.map(({ name }) => name).filter((name) => name.startsWith(table));
      const read = names.map((name) => pool.query<RowDataPacket[]>(`SELECT * FROM \`${name}\``));
      return textOf((await Promise.all(read)).flatMap(([rows]) => rows));
    },
    async stop() {
      await owner.query(`DROP DATABASE ${own}`);
      await Promise.all([owner.end(), pool.end()]);
      await server.stop();
    },
  };
}

async function startMongo(): Promise<Backend> {
  const found = await findMongoDB();
  const server = typeof found === "string" ? await startMongoJavaServer() : found;
  const client = openClient6(server.url);
  return {
    // mongo-java-server runs one command at a time, each logging in anew against the user's guard.
    races: typeof found === "string" ? 4 : 100,
    async open(collectionName) {
      const store = new MongoStore({ client, dbName: own, collectionName, timeoutMs });
      await store.ensureSchema();
      return store;
    },
    async dump(collectionName) {
      const all = await client.db(own).collections();
      const collections = all.filter((each) => each.collectionName.startsWith(collectionName));
      const documents = await Promise.all(collections.map((each) => each.find().toArray()));
      return textOf(documents.flat());
    },
    async stop() {
      await client.db(own).dropDatabase();
      await client.close();
      await server.stop();
    },
  };
}

function textOf(rows: readonly Row[]): string {
  const values = rows.flatMap((row) => Object.values(row));
  return values.map((value) => (Buffer.isBuffer(value) ? value.toString("latin1") : JSON.stringify(value))).join("\n");
}
