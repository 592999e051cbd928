import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type SessionData, SessionManager, type SessionStore } from "@sojourn/core";
import { MemcachedStore } from "@sojourn/memcached";
import { MySQLStore } from "@sojourn/mysql";
import { PostgresStore } from "@sojourn/postgres";
import { RedisStore } from "@sojourn/redis";
import {
  type ResolvedServer,
  resolveMemcached,
  resolveMySQL,
  resolvePostgres,
  resolveRedis,
} from "@sojourn/test-fixtures";
import { Redis } from "ioredis";
import memjs from "memjs";
import { createPool } from "mysql2/promise";
import pg from "pg";
import { expect, test } from "vitest";

interface Opened {
  readonly store: SessionStore;
  close(): Promise<unknown>;
}

const table = (): string => `grace_${randomUUID().replaceAll("-", "").slice(0, 20)}`;
const timeoutMs = 10_000;

const backends: [string, () => Promise<ResolvedServer>, (url: string) => Promise<Opened>][] = [
  [
    "Redis",
    resolveRedis,
    async (url) => {
      const client = new Redis(url);
      return { store: new RedisStore({ client, prefix: `${table()}:` }), close: () => client.quit() };
    },
  ],
  [
    "Postgres",
    resolvePostgres,
    async (connectionString) => {
      const pool = new pg.Pool({ connectionString, max: 10 });
      pool.on("error", () => {});
      const store = new PostgresStore({ pool, table: table(), timeoutMs });
      await store.ensureSchema();
      return { store, close: () => pool.end() };
    },
  ],
  [
    "MySQL",
    resolveMySQL,
    async (uri) => {
      const pool = createPool({ uri });
      const store = new MySQLStore({ pool, table: table(), timeoutMs });
      await store.ensureSchema();
      return { store, close: () => pool.end() };
    },
  ],
  [
    "Memcached, which renames in several steps",
    resolveMemcached,
    async (url) => {
      const client = memjs.Client.create(url.replace("memcached://", ""), { timeout: 10, retries: 1 });
      const store = new MemcachedStore({ client, namespace: table() });
      return { store, close: async () => client.close() };
    },
  ],
];

test.each(backends)(
  "on %s a regeneration logs nobody out, a logout always works, and the grace ends",
  async (_, resolve, open) => {
    const server = await resolve();
    const { store, close } = await open(server.url);
    const options = { store, sweep: false, timeoutMs, touchAfter: 0 } as const;
    // Several processes, for all that the store can tell.
    const nodes = [1, 2, 3].map(() => new SessionManager({ ...options, regenerationGrace: "5m" }));
    const [first, second, third] = nodes as [SessionManager, SessionManager, SessionManager];
    try {
      for (let round = 0; round < 10; round++) {
        const { token: old } = await first.create({ userId: `user ${round}`, data: { round } });
        const racing = [first, second].map((node) => node.regenerate(old));
        const reads = Array.from({ length: 12 }, async (_, n) => {
          await delay(n);
          return third.get(old);
        });
        const winners = (await Promise.all(racing)).filter((result) => result !== undefined);
        expect(winners).toHaveLength(1);
        for (const session of await Promise.all(reads)) expect(session?.data).toEqual({ round });

        const [logout, late] = await Promise.all([second.destroy(old), first.regenerate(winners[0]?.token ?? "")]);
        // Whichever came first, nothing lives on.
        expect(logout).toBe(true);
        for (const token of [old, winners[0]?.token, late?.token]) {
          if (token !== undefined) expect(await third.get(token)).toBeUndefined();
        }
        expect(await third.listByUser(`user ${round}`)).toEqual([]);
      }
      const hasty = new SessionManager<SessionData>({ ...options, regenerationGrace: "1s" });
      const { token } = await hasty.create({ userId: "42", data: {} });
      await hasty.regenerate(token);
      await delay(1_000 + 2 * store.capabilities.expiryPrecisionMs);
      expect(await hasty.get(token)).toBeUndefined();
      expect(await hasty.listByUser("42")).toHaveLength(1);
    } finally {
      await first.close();
      await close();
      await server.stop();
    }
  },
);
