import { once } from "node:events";
import { getRequestListener } from "@hono/node-server";
import { SessionManager } from "@sojourn/core";
import { type RequestSession, tokenToId } from "@sojourn/core/bridge";
import { sessionOf as expressSession, expressSessions } from "@sojourn/express";
import { sessionOf as fastifySession, fastifySessions } from "@sojourn/fastify";
import { sessionOf as koaSession, koaSessions } from "@sojourn/koa";
import { MemoryStore } from "@sojourn/memory";
import { webSessions } from "@sojourn/web";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import pino from "pino";
import { expect, onTestFinished, test } from "vitest";
import { createContext, expressContext, fastifyContext, koaContext, pinoMixin, webContext } from "../src/index.js";
import { Client, type LogLine, logSink, serve } from "./support.js";

interface Data {
  views: number;
}
type Session = Pick<RequestSession<Data>, "id" | "data" | "save" | "regenerate" | "destroy">;
/** Does what a path names. `load` loads the session of the request. */
type Act = (path: string, load: () => PromiseLike<Session>) => Promise<void>;

const context = createContext<{ tenant: string }>();
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4/;
const secret = "at least thirty-two bytes of text";
const cookie = { secure: false };

/** Starts an application with sessions of ours, and returns its URL. */
const bridges: Record<string, (manager: SessionManager<Data>, act: Act) => Promise<string>> = {
  async express(manager, act) {
    const app = express();
    app.use(expressContext(context), expressSessions({ manager, secret, cookie }));
    app.use(async (req, res) => {
      await act(req.path, () => expressSession(req, manager));
      res.send("ok");
    });
    return serve(app);
  },
  async fastify(manager, act) {
    const app = fastify();
    onTestFinished(() => app.close());
    app.register(fastifyContext(context));
    app.register(fastifySessions, { manager, secret, cookie });
    app.all("*", async (request) => {
      await act(request.url, () => fastifySession(request, manager));
      return "ok";
    });
    return app.listen({ port: 0, host: "127.0.0.1" });
  },
  async koa(manager, act) {
    const app = new Koa();
    app.use(koaContext(context)).use(koaSessions({ manager, secret, cookie }));
    app.use(async (ctx) => {
      await act(ctx.path, () => koaSession(ctx, manager));
      ctx.body = "ok";
    });
    return serve(app.callback());
  },
  async web(manager, act) {
    const sessions = webSessions({ manager, secret, cookie });
    const inContext = webContext(context);
    const app = new Hono();
    app.use((c, next) => inContext(c.req.raw, next));
    app.all("*", async (c) => {
      let opening: ReturnType<typeof sessions.open> | undefined;
      await act(c.req.path, () => {
        opening = sessions.open(c.req.raw);
        return opening;
      });
      const response = new Response("ok");
      return opening ? sessions.commit(await opening, response) : response;
    });
    return serve(getRequestListener(app.fetch));
  },
};

test.each(Object.keys(bridges))(
  "%s: the ids follow login, regenerate and logout of the request's session",
  async (name) => {
    const sink = logSink();
    const logger = pino({ mixin: pinoMixin(context) }, sink.stream);
    const manager = new SessionManager<Data>({ store: new MemoryStore() });
    onTestFinished(() => manager.close());
    const acts: Record<string, (load: () => PromiseLike<Session>) => Promise<void>> = {
      async "/login"(load) {
        logger.info("not loaded");
        const session = await load();
        logger.info("new");
        session.data.views = 1;
        await session.save();
        logger.info(`anonymous ${session.id}`);
        await session.regenerate({ userId: "42" });
        logger.info(`regenerated ${session.id}`);
      },
      async "/profile"(load) {
        logger.info(`profile ${(await load()).id}`);
      },
      async "/static"() {
        logger.info("static");
      },
      async "/logout"(load) {
        await (await load()).destroy();
        logger.info("logged out");
      },
    };
    const start = bridges[name] ?? expect.fail(name);
    const client = new Client(await start(manager, (path, load) => (acts[path] ?? expect.fail(path))(load)));
    const tokens: string[] = [];
    for (const path of Object.keys(acts)) {
      expect((await client.send("POST", path)).status, path).toBe(200);
      tokens.push(/=([\w-]{43})/.exec(client.cookie)?.[1] ?? "");
    }
    expect(tokens).toEqual([tokens[0], tokens[0], tokens[0], ""]);

    const lines = sink.lines();
    const at = (message: string): LogLine | undefined => lines.find(({ msg }) => msg.startsWith(message));
    for (const message of ["not loaded", "new", "static", "logged out"]) {
      expect(at(message), message).toBeDefined();
      expect(at(message), message).not.toHaveProperty("sessionId");
      expect(at(message), message).not.toHaveProperty("userId");
    }
    for (const message of ["anonymous", "regenerated", "profile"]) {
      expect(at(message)?.sessionId, message).toMatch(/^[\w-]{43}$/);
      expect(at(message)?.msg).toBe(`${message} ${at(message)?.sessionId}`);
    }
    expect(at("anonymous")).not.toHaveProperty("userId");
    expect(at("regenerated")).toMatchObject({ userId: "42" });
    expect(at("profile")).toMatchObject({ userId: "42", sessionId: at("regenerated")?.sessionId });
    expect(at("anonymous")?.sessionId).not.toBe(at("regenerated")?.sessionId);
    const requestIds = new Set(lines.map(({ requestId }) => requestId));
    expect(requestIds.size).toBe(4);
    for (const requestId of requestIds) expect(requestId).toMatch(uuid);
    // The log line of `/static` asked for the ids of a session that the request did not load: nothing was read for it.
    expect(await manager.stats()).toMatchObject({ hits: 2 });
    expect(tokenToId(tokens[0] ?? "")).toBe(at("profile")?.sessionId);
    expect(sink.text()).not.toContain(tokens[0]);
  },
);

test("Koa: the context survives a body, an error and the end of the response", async () => {
  const seen: string[] = [];
  const see = (what: string): void => void seen.push(`${what} ${context.get("requestId")} ${context.get("tenant")}`);
  const app = new Koa();
  app.silent = true;
  app.use(koaContext(createContext()));
  app.use(koaContext(context, { requestIdHeader: "X-Request-Id", values: (ctx) => ({ tenant: ctx.get("x-tenant") }) }));
  app.on("error", () => see("error"));
  app.use(async (ctx) => {
    ctx.res.on("finish", () => see("finish"));
    await once(ctx.req.on("end", () => see("end")).resume(), "end");
    if (ctx.path === "/fail") throw new Error("on purpose");
    ctx.body = "ok";
  });
  const url = await serve(app.callback());
  const send = (path: string, id: string) =>
    fetch(url + path, {
      method: "POST",
      body: "x".repeat(100_000),
      headers: { "x-request-id": id, "x-tenant": `of ${id}` },
    });
  await Promise.all([send("/", "r1"), send("/fail", "r2")]);
  await expect.poll(() => seen.filter((line) => line.startsWith("finish")).length).toBe(2);
  expect(seen.sort()).toEqual(["end r1 of r1", "end r2 of r2", "error r2 of r2", "finish r1 of r1", "finish r2 of r2"]);
});

test("Fetch: parallel handlers have the header, the own values and the session of their own request", async () => {
  const tenants = createContext<{ tenant: string }>();
  const inContext = webContext(tenants, {
    requestIdHeader: "x-request-id",
    sessionId: ({ headers }) => headers.get("x-session") ?? undefined,
    userId: () => "42",
    values: ({ url }) => ({ tenant: new URL(url).hostname }),
  });
  const answer = async (host: string, headers: Record<string, string>): Promise<unknown> => {
    const request = new Request(`https://${host}/`, { method: "POST", body: "x", headers });
    const response = await inContext(request, async () => {
      await request.text();
      await new Promise((resolve) => setImmediate(resolve));
      return Response.json(tenants.getContext());
    });
    return response.json();
  };
  expect(
    await Promise.all([
      answer("a.example", { "x-request-id": "r1" }),
      answer("b.example", { "x-request-id": "r 2", "x-session": "s" }),
    ]),
  ).toEqual([
    { requestId: "r1", tenant: "a.example" },
    { requestId: expect.stringMatching(uuid), sessionId: "s", userId: "42", tenant: "b.example" },
  ]);
  expect(tenants.getContext()).toBeUndefined();
  expect(() =>
    inContext(new Request("https://a.example/"), () => {
      throw new Error("on purpose");
    }),
  ).toThrow("on purpose");
});
