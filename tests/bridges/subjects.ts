import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import { serve as serveFetch } from "@hono/node-server";
import { SessionError, type SessionLimit, SessionManager, type SessionManagerOptions } from "@sojourn/core";
import type { RequestSession } from "@sojourn/core/bridge";
import { expressSessions, sessionOf } from "@sojourn/express";
import { ExpressSessionStore } from "@sojourn/express-session";
import { FastifySessionStore, fastifySessions } from "@sojourn/fastify";
import { koaSessions } from "@sojourn/koa";
import { MemoryStore } from "@sojourn/memory";
import { type Method, overriding } from "@sojourn/test-fixtures";
import { type WebSessions, webSessions } from "@sojourn/web";
import express, { type ErrorRequestHandler, type Request as ExpressRequest, type RequestHandler } from "express";
import expressSession from "express-session";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { H3, toResponse } from "h3";
import { Hono } from "hono";
import Koa, { type Context, type Middleware } from "koa";
import { KoaSessions } from "./koa-bridge.js";

/** The acts of a route on the session of its request, each in the way of its framework. */
interface FlowSession {
  read(): Record<string, unknown>;
  set(key: string, value: unknown): void;
  /**
   * A login as the documentation of each recommends: a new id, then the user, stored before the response.
   *
   * @param rememberMs - an idle timeout that differs from the usual one, for a session that outlives the browser
   */
  login(account: string, rememberMs?: number): Promise<void>;
  /** Gives the session of the same user a new id. */
  rotate(): Promise<void>;
  reload(): Promise<void>;
  logout(): Promise<void>;
}

export type FlowAction = (session: FlowSession, query: URLSearchParams) => unknown;

/** Store calls that may fail, by their names in express-session's protocol. */
export type FailingCall = "get" | "set" | "touch" | "destroy";

interface Fault {
  call: FailingCall | undefined;
}

export interface FlowOptions {
  readonly actions: Record<string, FlowAction>;
  /** Idle timeout. */
  readonly idleMs: number;
  /** Absolute timeout, in subjects that have one. */
  readonly absoluteMs: number;
  readonly limit?: SessionLimit | undefined;
  /** How long the old id of a regenerated session goes on reading, in subjects that have a grace. */
  readonly graceMs?: number | undefined;
}

export interface Running extends AsyncDisposable {
  readonly url: string;
  readonly fault: Fault;
}

/** A framework with its sessions, as an application on a port. */
export interface Subject {
  readonly name: string;
  readonly isOurs: boolean;
  start(options: FlowOptions): Promise<Running>;
}

const secret = "a secret of at least 32 characters";

export const subjects: readonly Subject[] = [
  {
    name: "express-session, its MemoryStore",
    isOurs: false,
    start: (options) => {
      const fault: Fault = { call: undefined };
      return startExpressSession(options, fault, failingByCallback(new expressSession.MemoryStore(), fault));
    },
  },
  {
    name: "express-session, Sojourn",
    isOurs: true,
    start: (options) => {
      const fault: Fault = { call: undefined };
      const store = new ExpressSessionStore({ ...managed(options, fault), userId: accountOf });
      return startExpressSession(options, fault, store, () => store.manager.close());
    },
  },
  {
    name: "Express, Sojourn's middleware",
    isOurs: true,
    start: (options) => {
      const fault: Fault = { call: undefined };
      const manager = new SessionManager(managed(options, fault));
      const sessions = expressSessions({ manager, secret, cookie: { secure: false }, decorator: "flow" });
      const open = async (req: ExpressRequest): Promise<FlowSession> => new OwnSession(await sessionOf(req, manager));
      return startExpress(options, fault, sessions, open, () => manager.close());
    },
  },
  {
    name: "@fastify/session, its MemoryStore",
    isOurs: false,
    start: (options) => {
      const fault: Fault = { call: undefined };
      return startFastifySession(options, fault, failingByCallback(new fastifySession.MemoryStore(), fault));
    },
  },
  {
    name: "@fastify/session, Sojourn",
    isOurs: true,
    start: (options) => {
      const fault: Fault = { call: undefined };
      const store = new FastifySessionStore({ ...managed(options, fault), userId: accountOf });
      return startFastifySession(options, fault, store, () => store.manager.close());
    },
  },
  {
    name: "Fastify, Sojourn's plugin",
    isOurs: true,
    start: async (options) => {
      const fault: Fault = { call: undefined };
      const manager = new SessionManager(managed(options, fault));
      const app = fastify();
      await app.register(fastifySessions, { manager, secret, cookie: { secure: false }, decorator: "flow" });
      serve(app, options, async (request) => {
        // The test states the type of its data.
        return new OwnSession(await (request.getDecorator("flow") as Promise<OwnMembers>));
      });
      return listening(app, fault, () => manager.close());
    },
  },
  {
    name: "Koa, the example bridge",
    isOurs: true,
    start: (options) => {
      const fault: Fault = { call: undefined };
      const sessions = new KoaSessions<object>({ ...managed(options, fault), secret, cookie: { secure: false } });
      return startKoa(options, fault, {
        middleware: sessions.middleware,
        of: (ctx) => sessions.of(ctx),
        close: () => sessions.close(),
      });
    },
  },
  {
    name: "Koa, @sojourn/koa",
    isOurs: true,
    start: (options) => {
      const fault: Fault = { call: undefined };
      const middleware = koaSessions({
        ...managed(options, fault),
        secret,
        cookie: { secure: false },
        decorator: "flow",
      });
      // The test states the type of its data.
      const of = (ctx: Context): Promise<OwnMembers> => ctx.flow as Promise<OwnMembers>;
      return startKoa(options, fault, { middleware, of, close: () => middleware.close() });
    },
  },
  { name: "Fetch, @sojourn/web", isOurs: true, start: (options) => startFetch(options, fetchApp) },
  { name: "Hono, @sojourn/web", isOurs: true, start: (options) => startFetch(options, honoApp) },
  { name: "h3, @sojourn/web", isOurs: true, start: (options) => startFetch(options, h3App) },
];

/** The members of `RequestSession` that the flows use, in any framework. */
type OwnMembers = Pick<RequestSession<object>, "data" | "userId" | "regenerate" | "reload" | "destroy">;

/** The methods that the sessions of express-session and @fastify/session have in common. */
interface FrameworkSession {
  readonly cookie: object;
  save(done: (error?: unknown) => void): unknown;
  regenerate(done: (error?: unknown) => void): unknown;
  reload(done: (error?: unknown) => void): unknown;
  destroy(done: (error?: unknown) => void): unknown;
}

class ProtocolSession implements FlowSession {
  readonly #request: { session: FrameworkSession };

  constructor(request: { session: FrameworkSession }) {
    this.#request = request;
  }

  read(): Record<string, unknown> {
    return { ...this.#request.session };
  }

  set(key: string, value: unknown): void {
    Reflect.set(this.#request.session, key, value);
  }

  async login(account: string, rememberMs?: number): Promise<void> {
    await this.#call("regenerate");
    this.set("account", account);
    if (rememberMs !== undefined) Reflect.set(this.#request.session.cookie, "maxAge", rememberMs);
    await this.#call("save");
  }

  async rotate(): Promise<void> {
    await this.login(String(this.read().account));
  }

  reload(): Promise<void> {
    return this.#call("reload");
  }

  logout(): Promise<void> {
    return this.#call("destroy");
  }

  #call(method: Exclude<keyof FrameworkSession, "cookie">): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#request.session[method]((error) => (error ? reject(error) : resolve()));
    });
  }
}

class OwnSession implements FlowSession {
  readonly #session: OwnMembers;

  constructor(session: OwnMembers) {
    this.#session = session;
  }

  read(): Record<string, unknown> {
    const { data, userId } = this.#session;
    return { ...data, account: userId };
  }

  set(key: string, value: unknown): void {
    Reflect.set(this.#session.data, key, value);
  }

  async login(account: string, rememberMs?: number): Promise<void> {
    const remembered = rememberMs !== undefined && {
      idleTimeout: rememberMs,
      absoluteTimeout: 2 * rememberMs,
      persistent: true,
    };
    await this.#session.regenerate({ userId: account, keep: false, ...remembered });
  }

  async rotate(): Promise<void> {
    await this.#session.regenerate();
  }

  async reload(): Promise<void> {
    await this.#session.reload();
  }

  async logout(): Promise<void> {
    await this.#session.destroy();
  }
}

async function startExpressSession(
  options: FlowOptions,
  fault: Fault,
  store: expressSession.Store,
  close?: () => unknown,
): Promise<Running> {
  const cookie = { maxAge: options.idleMs };
  const sessions = expressSession({ store, secret, resave: false, saveUninitialized: false, cookie });
  return startExpress(options, fault, sessions, async (req) => new ProtocolSession(req), close);
}

async function startExpress(
  { actions }: FlowOptions,
  fault: Fault,
  sessions: RequestHandler,
  open: (req: ExpressRequest) => Promise<FlowSession>,
  close: () => unknown = () => undefined,
): Promise<Running> {
  const app = express();
  app.use(sessions);
  for (const [name, action] of Object.entries(actions)) {
    app.get(`/${name}`, (req, res, next) => {
      const run = async (): Promise<unknown> => action(await open(req), queryOf(req.url));
      run().then((body) => res.json(body ?? null), next);
    });
  }
  const report: ErrorRequestHandler = (error: Error & { statusCode?: number }, _req, res, _next) => {
    if (!res.headersSent) res.status(error.statusCode ?? 500).json({ error: error.message });
  };
  app.use(report);
  return serving(app.listen(0, "127.0.0.1"), fault, close);
}

type FetchApp = (sessions: WebSessions<object>, actions: FlowOptions["actions"]) => (request: Request) => unknown;

/** Serves an application that takes a Fetch request by Node's HTTP server. */
async function startFetch(options: FlowOptions, appOf: FetchApp): Promise<Running> {
  const fault: Fault = { call: undefined };
  const sessions = webSessions<object>({ ...managed(options, fault), secret, cookie: { secure: false } });
  const app = appOf(sessions, options.actions);
  const answer = async (request: Request): Promise<Response> => {
    try {
      return (await app(request)) as Response;
    } catch (error) {
      return new Response(undefined, { status: statusOf(error) });
    }
  };
  const server = serveFetch({ fetch: answer, hostname: "127.0.0.1", port: 0 });
  return serving(server as Server, fault, () => sessions.close());
}

const fetchApp: FetchApp = (sessions, actions) => (request) =>
  sessions.handle(request, async (session) => Response.json(await actIn(session, request, actions)));

const honoApp: FetchApp = (sessions, actions) => {
  const app = new Hono();
  app.use(async (c, next) => {
    const session = await sessions.open(c.req.raw);
    c.set("session" as never, session as never);
    await next();
    const response = await sessions.commit(session, c.res);
    if (response === c.res) return;
    c.res = undefined;
    c.res = response;
  });
  app.all("*", async (c) => c.json(await actIn(c.get("session" as never) as OwnMembers, c.req.raw, actions)));
  app.onError((error, c) => c.body(null, statusOf(error) as 500));
  return (request) => app.fetch(request);
};

const h3App: FetchApp = (sessions, actions) => {
  const app = new H3({ silent: true });
  app.use(async (event, next) => {
    const session = await sessions.open(event.req);
    event.context.session = session;
    return sessions.commit(session, await toResponse(await next(), event));
  });
  app.all("/**", async ({ context, req }) => Response.json(await actIn(context.session as OwnMembers, req, actions)));
  return (request) => app.fetch(request);
};

async function actIn(session: OwnMembers, { url }: Request, actions: FlowOptions["actions"]): Promise<unknown> {
  const { pathname, searchParams } = new URL(url);
  return (await actions[pathname.slice(1)]?.(new OwnSession(session), searchParams)) ?? null;
}

function statusOf(error: unknown): number {
  return error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
}

interface KoaBridge {
  readonly middleware: Middleware;
  of(ctx: Context): Promise<OwnMembers>;
  close(): Promise<void>;
}

async function startKoa({ actions }: FlowOptions, fault: Fault, sessions: KoaBridge): Promise<Running> {
  const app = new Koa();
  app.silent = true;
  app.use(sessions.middleware);
  app.use(async (ctx) => {
    const action = actions[ctx.path.slice(1)];
    const body = await action?.(new OwnSession(await sessions.of(ctx)), ctx.URL.searchParams);
    ctx.type = "application/json";
    ctx.body = JSON.stringify(body ?? null);
  });
  return serving(app.listen(0, "127.0.0.1"), fault, () => sessions.close());
}

async function serving(server: Server, fault: Fault, close: () => unknown): Promise<Running> {
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    fault,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
      await close();
    },
  };
}

async function startFastifySession(
  options: FlowOptions,
  fault: Fault,
  store: fastifySession.SessionStore,
  close: () => unknown = () => undefined,
): Promise<Running> {
  const app = fastify();
  await app.register(fastifyCookie);
  const cookie = { secure: false, maxAge: options.idleMs };
  await app.register(fastifySession, { secret, store, cookie, saveUninitialized: false });
  // The types of @fastify/passport, which other tests import, hide the cookie of @fastify/session.
  serve(app, options, async (request) => new ProtocolSession(request as unknown as { session: FrameworkSession }));
  return listening(app, fault, close);
}

function serve(
  app: FastifyInstance,
  { actions }: FlowOptions,
  open: (request: FastifyRequest) => Promise<FlowSession>,
): void {
  for (const [name, action] of Object.entries(actions)) {
    app.get(`/${name}`, async (request, reply) => {
      const body = await action(await open(request), queryOf(request.url));
      reply.type("application/json");
      return JSON.stringify(body ?? null);
    });
  }
}

async function listening(app: FastifyInstance, fault: Fault, close: () => unknown): Promise<Running> {
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  return {
    url,
    fault,
    async [Symbol.asyncDispose]() {
      app.server.closeAllConnections();
      await app.close();
      await close();
    },
  };
}

function queryOf(url: string): URLSearchParams {
  return new URL(url, "http://localhost").searchParams;
}

function accountOf(data: object): string | undefined {
  return "account" in data ? String(data.account) : undefined;
}

/** Returns the same manager options for each of Sojourn's subjects. */
function managed({ idleMs, absoluteMs, limit, graceMs }: FlowOptions, fault: Fault): SessionManagerOptions {
  const memory = new MemoryStore({ clock: { now: () => Date.now() } });
  const store = overriding(memory, (method, original) => {
    const call = callOf[method];
    if (call === undefined) return original;
    return async (...args) => {
      if (fault.call === call) throw new SessionError("UNAVAILABLE", "the backend is down");
      return original(...args);
    };
  });
  const options = { idleTimeout: idleMs, absoluteTimeout: absoluteMs, touchAfter: 0, sweep: false } as const;
  return { store, ...options, regenerationGrace: graceMs, sessionLimit: limit };
}

const callOf: Readonly<Record<string, FailingCall>> = {
  get: "get",
  create: "set",
  update: "set",
  rename: "set",
  touch: "touch",
  destroy: "destroy",
};

function failingByCallback<Store extends object>(store: Store, fault: Fault): Store {
  return overriding(
    store,
    (method, original): Method =>
      (...args) => {
        const callback = args.at(-1);
        if (method !== fault.call || typeof callback !== "function") return original(...args);
        setImmediate(() => callback(new Error("the backend is down")));
        return undefined;
      },
  );
}
