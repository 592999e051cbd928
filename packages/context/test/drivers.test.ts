/**
 * A thousand interleaved requests over each driver, through small pools, whose connections were opened by other requests:
 * every log line carries the ids of its own request.
 */
import { setTimeout as delay } from "node:timers/promises";
import { SessionManager } from "@sojourn/core";
import { ExpressSessionStore } from "@sojourn/express-session";
import { fastifySessions, sessionOf } from "@sojourn/fastify";
import { MemoryStore } from "@sojourn/memory";
import { resolveMemcached, resolveMongo, resolveMySQL, resolvePostgres, resolveRedis } from "@sojourn/test-fixtures";
import express from "express";
import session from "express-session";
import Fastify from "fastify";
import { Redis } from "ioredis";
import memjs from "memjs";
import { MongoClient } from "mongodb";
import mysql from "mysql2";
import pg from "pg";
import pino from "pino";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { bind, createContext, expressContext, fastifyContext, pinoMixin } from "../src/index.js";
import { Client, logSink, serve } from "./support.js";

const requests = 1_000;
const users = 20;
const inFlight = 64;
const poolSize = 3;

const context = createContext();
const { runWithContext } = context;

interface Driver {
  /** Asks the backend to hand back `text`, after some random milliseconds where it can wait. */
  readonly echo: (text: string) => Promise<string | undefined>;
  /** The same with a callback, for drivers that take one. */
  readonly echoBack?: (text: string, done: (error: unknown, echo?: string) => void) => void;
  readonly close: () => unknown;
}

const drivers: Record<string, () => Promise<Driver>> = {
  pg: async () => {
    const server = await resolvePostgres();
    const pool = new pg.Pool({ connectionString: server.url, max: poolSize });
    // The server may be gone before the connections that are being closed.
    pool.on("error", () => {});
    const sql = "SELECT $1::text AS echo, pg_sleep(random() / 500)";
    return {
      echo: async (text) => (await pool.query(sql, [text])).rows[0].echo,
      echoBack: (text, done) => pool.query(sql, [text], (error, result) => done(error, result?.rows[0].echo)),
      close: () => pool.end().then(server.stop),
    };
  },
  ioredis: async () => {
    const server = await resolveRedis();
    const redis = new Redis(server.url, { enableAutoPipelining: true });
    return {
      echo: (text) => redis.echo(text),
      echoBack: (text, done) => void redis.echo(text, done),
      close: () => redis.quit().then(server.stop),
    };
  },
  mysql2: async () => {
    const server = await resolveMySQL();
    const pool = mysql.createPool({ uri: server.url, connectionLimit: poolSize });
    const sql = "SELECT ? AS echo, SLEEP(RAND() / 500)";
    // The one row that it selects.
    const echoOf = (rows: unknown): string => (rows as [{ echo: string }])[0].echo;
    return {
      echo: async (text) => echoOf((await pool.promise().query(sql, [text]))[0]),
      echoBack: (text, done) => pool.query(sql, [text], (error, rows) => done(error, error ? undefined : echoOf(rows))),
      close: () => pool.promise().end().then(server.stop),
    };
  },
  mongodb: async () => {
    const server = await resolveMongo();
    const client = new MongoClient(server.url, { maxPoolSize: poolSize });
    const database = client.db(`context_${process.pid}`);
    const collection = database.collection<{ _id: string }>("echo");
    await collection.insertMany(Array.from({ length: requests }, (_, n) => ({ _id: `${n}` })));
    return {
      echo: async (text) => (await collection.findOne({ _id: text }))?._id,
      close: async () => {
        await database.dropDatabase();
        await client.close();
        await server.stop();
      },
    };
  },
  memjs: async () => {
    const server = await resolveMemcached();
    const client = memjs.Client.create(server.url.replace("memcached://", ""), { timeout: 60, conntimeout: 60 });
    return {
      echo: async (text) => {
        await client.set(text, text, {});
        return (await client.get(text)).value?.toString();
      },
      echoBack: (text, done) => {
        client.set(text, text, {}, () => client.get(text, (error, value) => done(error, value?.toString())));
      },
      close: () => {
        client.close();
        return server.stop();
      },
    };
  },
};

/** The part of a request that all frameworks share: it logs, waits, asks the backend, logs in between and at its end. */
async function work(text: string, { echo, echoBack }: Driver, logger: pino.Logger): Promise<void> {
  const n = Number(text);
  logger.info({ n }, "begins");
  await delay(Math.random() * 5);
  logger.info({ n }, "asks");
  expect(await echo(text)).toBe(text);
  logger.info({ n }, "promise");
  if (echoBack !== undefined) {
    await new Promise<void>((resolve, reject) => {
      const done = bind((error: unknown, answer?: string) => {
        logger.info({ n }, "callback");
        if (error || answer !== text) reject(error ?? new Error(`received ${answer}`));
        else resolve();
      });
      echoBack(text, done);
    });
  }
  await runWithContext({}, () => delay(Math.random() * 5));
  logger.info({ n }, "ends");
}

/** Serves `POST /login/:user`, which answers the session's id, and `GET /query/:n`. */
type Framework = (driver: Driver, logger: pino.Logger) => Promise<string>;

const onExpress: Framework = (driver, logger) => {
  const store = new ExpressSessionStore({ store: new MemoryStore(), userId: (data) => data.contextUser?.id });
  onTestFinished(() => store.manager.close());
  const app = express();
  app.use(expressContext(context, { requestIdHeader: "x-request-id", userId: (req) => req.session.contextUser?.id }));
  app.use(session({ store, secret: "test", resave: false, saveUninitialized: false }));
  app.post("/login/:user", (req, res) => {
    req.session.contextUser = { id: req.params.user };
    res.send(context.get("sessionId"));
  });
  app.get("/query/:n", async (req, res) => {
    res.on("finish", () => logger.info({ n: Number(req.params.n) }, "finished"));
    await work(req.params.n, driver, logger);
    res.end();
  });
  return serve(app);
};

const onFastify: Framework = async (driver, logger) => {
  const manager = new SessionManager({ store: new MemoryStore() });
  const app = Fastify({ forceCloseConnections: true });
  onTestFinished(async () => {
    await app.close();
    await manager.close();
  });
  await app.register(fastifyContext(context, { requestIdHeader: "x-request-id" }));
  const secret = "at least thirty-two bytes of text";
  await app.register(fastifySessions, { manager, secret, cookie: { secure: false } });
  app.post<{ Params: { user: string } }>("/login/:user", async (request) => {
    const session = await sessionOf(request, manager);
    await session.regenerate({ userId: request.params.user });
    return context.get("sessionId");
  });
  app.get<{ Params: { n: string } }>("/query/:n", async (request, reply) => {
    const { n } = request.params;
    reply.raw.on("finish", () => logger.info({ n: Number(n) }, "finished"));
    await sessionOf(request, manager);
    await work(n, driver, logger);
    return "";
  });
  return app.listen({ port: 0, host: "127.0.0.1" });
};

interface Visitor {
  readonly client: Client;
  readonly userId: string;
  readonly sessionId: string;
}

async function logIn(url: string, userId: string): Promise<Visitor> {
  const client = new Client(url);
  const response = await client.send("POST", `/login/${userId}`);
  return { client, userId, sessionId: await response.text() };
}

describe.each(Object.entries(drivers))("%s", (_name, open) => {
  let driver: Driver;
  beforeAll(async () => {
    driver = await open();
  });
  afterAll(() => driver?.close());

  test.each<[string, Framework]>([
    ["Express", onExpress],
    ["Fastify", onFastify],
  ])("%s", async (_framework, start) => {
    const sink = logSink();
    const url = await start(driver, pino({ mixin: pinoMixin(context) }, sink.stream));
    const visitors = await Promise.all(Array.from({ length: users }, (_, user) => logIn(url, `user-${user}`)));
    const visitorOf = (n: number): Visitor | undefined => visitors[n % users];

    let next = 0;
    const visit = async (): Promise<void> => {
      for (let n = next++; n < requests; n = next++) {
        const headers = { "x-request-id": `request-${n}` };
        expect((await visitorOf(n)?.client.send("GET", `/query/${n}`, { headers }))?.status).toBe(200);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, visit));
    const callback = driver.echoBack === undefined ? [] : ["callback"];
    const expected = ["begins", "asks", "promise", ...callback, "ends", "finished"];
    // A client has its answer before the server hears that it was sent.
    await expect.poll(() => sink.lines().length).toBe(requests * expected.length);

    const linesOf = new Map<number, string[]>();
    for (const { n = -1, msg, ...ids } of sink.lines()) {
      const { userId, sessionId } = visitorOf(n) ?? {};
      expect(ids).toMatchObject({ requestId: `request-${n}`, userId, sessionId });
      linesOf.set(n, [...(linesOf.get(n) ?? []), msg]);
    }
    for (let n = 0; n < requests; n++) expect(linesOf.get(n), `request ${n}`).toEqual(expected);
  });
});
