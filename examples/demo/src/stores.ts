import type { SessionStore } from "@sojourn/core";

/** How to open the store that a URL names. Adapters are loaded when they are asked for. */
const openers: Readonly<Record<string, (url: string) => Promise<SessionStore>>> = {
  "memory:": async () => new (await import("@sojourn/memory")).MemoryStore(),
  "redis:": openRedis,
  "rediss:": openRedis,
  "postgres:": openPostgres,
  "postgresql:": openPostgres,
  "mysql:": openMySQL,
  "mariadb:": openMySQL,
  "mongodb:": openMongo,
  "mongodb+srv:": openMongo,
  "memcached:": async (url) => (await import("@sojourn/memcached")).MemcachedStore.fromUrl(url),
};

/** Opens the store that `SESSION_STORE` names, with its tables or indexes made where it needs any. */
export async function openStore(url: string): Promise<SessionStore> {
  const scheme = url.slice(0, url.indexOf(":") + 1);
  const open = openers[scheme];
  // The URL may hold a password: only its scheme is shown.
  if (open === undefined)
    throw new Error(`SESSION_STORE must begin with one of ${Object.keys(openers).join(" ")}, received "${scheme}"`);
  return open(url);
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
