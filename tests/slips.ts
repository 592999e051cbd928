/*
 * Mistakes that people make out of habit, and the answer that tells them what to write instead. Each is an expression of
 * JavaScript, evaluated in a project with the packed packages.
 */

/** A mistake, and a part of the message of its error or of its process warning; `undefined`: it works. */
export type Slip = readonly [code: string, answer: string | undefined];

const url = (scheme: string): string => `"${scheme}://user:s3cret@localhost/app"`;

/** The slips of a store: its client, its URL, or nothing in the place of the options. */
function ofStore(store: string, client: string, scheme: string, option: string): Slip[] {
  const usage = `write new ${store}({ ${option} }) or ${store}.fromUrl(url)`;
  return [
    [`new ${store}(${client})`, `received an instance of`],
    [`new ${store}(${url(scheme)})`, `received a URL; ${usage}`],
    [`new ${store}()`, `received undefined; ${usage}`],
    [`new ${store}({ url: ${url(scheme)} })`, usage],
    [`new ${store}({ ${option}: ${url(scheme)} })`, `"${option}" must be`],
    [`new ${store}({ ${option}: { host: "localhost", password: "s3cret" } })`, `"${option}" must be`],
    [`new ${store}({ ${option}: ${client}, ttl: 3600 })`, '"idleTimeout" of the SessionManager, or of the bridge'],
  ];
}

export const slips: readonly Slip[] = [
  ...ofStore("RedisStore", "new Redis({ lazyConnect: true })", "redis", "client"),
  ...ofStore("MemcachedStore", "memjs.Client.create()", "memcached", "client"),
  ...ofStore("MongoStore", 'new MongoClient("mongodb://localhost")', "mongodb", "client"),
  ...ofStore("PostgresStore", "new pg.Pool()", "postgres", "pool"),
  ...ofStore("MySQLStore", "mysql2.createPool({})", "mysql", "pool"),
  ["new MemoryStore({ checkPeriod: 86400000 })", '"sweep" of the SessionManager'],
  ["new MemoryStore({ max: 1000 })", 'did you mean "maxSessions"?'],
  [
    "MongoStore.create({ mongoUrl: 'mongodb://localhost' })",
    "write new MongoStore({ client }) or MongoStore.fromUrl(url)",
  ],
  ['RedisStore.fromUrl("redis://localhost:1").get("a")', "run npm install ioredis"],
  ["session({ store: new MemoryStore(), ...secret })", "write session({ store: new ExpressSessionStore({ store }) })"],
  ["session({ store: manager, ...secret })", "write session({ store: new ExpressSessionStore({ manager }) })"],
  ["new SessionManager(store)", "received an instance of MemoryStore; write new SessionManager({ store })"],
  ["new SessionManager()", "write new SessionManager({ store })"],
  ["new SessionManager({ store, ttl: 3600 })", 'did you mean "idleTimeout"?'],
  ["new SessionManager({ store, idleTimeout: 3600 })", 'numbers are milliseconds; write "3600s" for seconds'],
  ['new SessionManager({ store, idleTimeout: "1d" })', 'which is 12h unless "absoluteTimeout" is set'],
  ["new ExpressSessionStore(store)", "received an instance of MemoryStore; write new ExpressSessionStore({ store })"],
  ["new ExpressSessionStore(manager)", "received an instance of SessionManager"],
  ["new ExpressSessionStore({ store, ttl: 3600 })", '@sojourn/express-session: unknown option "ttl"; did you mean'],
  ["new ExpressSessionStore({ store, userid: String })", 'did you mean "userId"? The options are manager, userId'],
  ["new FastifySessionStore(store)", "received an instance of MemoryStore; write new FastifySessionStore({ store })"],
  ["fastify().register(fastifySessions, { store, ...secret, rolling: true })", "@sojourn/fastify: unknown option"],
  ["manager.create()", undefined],
  ["manager.create({ userId: 42 })", undefined],
  ["manager.create({ userId: 4.2 })", "must be a string, a bigint or a safe integer"],
  ['manager.create({ userID: "42" })', 'did you mean "userId"?'],
  ["manager.create({ cart: [] })", 'unknown key "cart"; the keys are data'],
  ['manager.destroyByUser("42", { exept: "a" })', 'did you mean "except"?'],
  ["manager.get(manager.create())", 'write "await" before it'],
  ["manager.destroy(token, () => {})", "takes no callback and returns a promise"],
];

/** Returns an ES module that makes the mistakes, and prints an array with the answer of each, `null` where there is none. */
export function scriptOf(cases: readonly Slip[], ioredis: string): string {
  const calls = cases.map(([code]) => `async () => ${code}`);
  return `
    import { ExpressSessionStore } from "@sojourn/express-session";
    import { fastifySessions, FastifySessionStore } from "@sojourn/fastify";
    import { MemcachedStore } from "@sojourn/memcached";
    import { MemoryStore } from "@sojourn/memory";
    import { MongoStore } from "@sojourn/mongodb";
    import { MySQLStore } from "@sojourn/mysql";
    import { PostgresStore } from "@sojourn/postgres";
    import { RedisStore } from "@sojourn/redis";
    import { SessionManager } from "@sojourn/core";
    import session from "express-session";
    import fastify from "fastify";
    import memjs from "memjs";
    import { MongoClient } from "mongodb";
    import mysql2 from "mysql2";
    import pg from "pg";
    import { Redis } from ${JSON.stringify(ioredis)};

    const store = new MemoryStore();
    const manager = new SessionManager({ store });
    const { token } = await manager.create();
    const secret = { secret: "at least thirty-two bytes of text", resave: false, saveUninitialized: false };
    let warning;
    process.on("warning", (error) => { warning ??= error.message; });
    const answers = [];
    for (const call of [${calls.join(", ")}]) {
      warning = undefined;
      const error = await call().then(() => undefined, (reason) => reason);
      await new Promise(setImmediate);
      answers.push(error?.message ?? warning ?? null);
    }
    process.stdout.write(JSON.stringify(answers), () => process.exit());`;
}
