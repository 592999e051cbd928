import type { SessionStore } from "@sojourn/core";

export interface OpenedStore {
  /** The name of the backend, for people: `PostgreSQL`. */
  readonly backend: string;
  readonly store: SessionStore;
}

interface Opener {
  readonly backend: string;
  readonly open: (url: string) => Promise<SessionStore>;
}

const redis: Opener = { backend: "Redis", open: openRedis };
const postgres: Opener = { backend: "PostgreSQL", open: openPostgres };
const mongo: Opener = { backend: "MongoDB", open: openMongo };

/** The backend that a URL names, by its scheme. Adapters are loaded when they are asked for. */
const openers: Readonly<Record<string, Opener>> = {
  "memory:": { backend: "Memory", open: async () => new (await import("@sojourn/memory")).MemoryStore() },
  "redis:": redis,
  "rediss:": redis,
  "postgres:": postgres,
  "postgresql:": postgres,
  "mysql:": { backend: "MySQL", open: openMySQL },
  "mariadb:": { backend: "MariaDB", open: openMySQL },
  "mongodb:": mongo,
  "mongodb+srv:": mongo,
  "memcached:": {
    backend: "Memcached",
    open: async (url) => (await import("@sojourn/memcached")).MemcachedStore.fromUrl(url),
  },
};

/** Opens the store that `SESSION_STORE` names, with its tables or indexes made where it needs any. */
export async function openStore(url: string): Promise<OpenedStore> {
  const scheme = url.slice(0, url.indexOf(":") + 1);
  const opener = openers[scheme];
  // The URL may hold a password: only its scheme is shown.
  if (opener === undefined)
    throw new Error(`SESSION_STORE must begin with one of ${Object.keys(openers).join(" ")}, received "${scheme}"`);
  return { backend: opener.backend, store: await opener.open(url) };
}

async function openRedis(url: string): Promise<SessionStore> {
  return (await import("@sojourn/redis")).RedisStore.fromUrl(url);
}

async function openPostgres(url: string): Promise<SessionStore> {
  return withSchema((await import("@sojourn/postgres")).PostgresStore.fromUrl(url));
}

async function openMySQL(url: string): Promise<SessionStore> {
  return withSchema((await import("@sojourn/mysql")).MySQLStore.fromUrl(url));
}

async function openMongo(url: string): Promise<SessionStore> {
  return withSchema((await import("@sojourn/mongodb")).MongoStore.fromUrl(url));
}

async function withSchema(store: SessionStore & { ensureSchema(): Promise<void> }): Promise<SessionStore> {
  try {
    await store.ensureSchema();
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}
