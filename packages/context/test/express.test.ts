import type { RequestListener } from "node:http";
import { createRequire } from "node:module";
import { tokenToId } from "@sojourn/core";
import { ExpressSessionStore } from "@sojourn/express-session";
import { MemoryStore } from "@sojourn/memory";
import express5 from "express";
import session from "express-session";
import pino from "pino";
import { describe, expect, expectTypeOf, onTestFinished, test } from "vitest";
import { createContext, type ExpressContextOptions, expressContext, pinoMixin } from "../src/index.js";
import { Client, type LogLine, logSink, serve } from "./support.js";

declare module "express-session" {
  interface SessionData {
    contextUser: { id: string };
  }
}

// Express 4 has no types of its own here; it has every part of Express 5 that is used.
const express4: typeof express5 = createRequire(import.meta.url)("express4");
const context = createContext<{ tenant: string }>();
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4/;

function createApp(
  express: typeof express5,
  options: ExpressContextOptions<{ tenant: string }> = { userId: (req) => req.session.contextUser?.id },
): { app: express5.Express; sink: ReturnType<typeof logSink>; logger: pino.Logger; store: ExpressSessionStore } {
  const sink = logSink();
  const logger = pino({ mixin: pinoMixin(context, ["requestId", "sessionId", "userId", "tenant"]) }, sink.stream);
  const store = new ExpressSessionStore({ store: new MemoryStore(), userId: (data) => data.contextUser?.id });
  onTestFinished(() => store.manager.close());
  const app = express();
  app.use(expressContext(context, options));
  app.use((_req, res, next) => {
    logger.info("first");
    res.on("finish", () => logger.info("finished"));
    next();
  });
  app.use(express.json());
  app.use(session({ store, secret: "test", resave: false, saveUninitialized: false }));
  return { app, sink, logger, store };
}

/** A client has its answer before the server hears that it was sent. */
async function finished(sink: ReturnType<typeof logSink>, requests: number): Promise<void> {
  await expect.poll(() => sink.lines().filter(({ msg }) => msg === "finished").length).toBe(requests);
}

describe.each([
  ["5", express5],
  ["4", express4],
])("Express %s", (_version, express) => {
  test("the ids follow login, regenerate and logout within the same request", async () => {
    const { app, sink, logger } = createApp(express);
    app.post("/login", (req, res, next) => {
      logger.info("anonymous");
      req.session.regenerate((failed) => {
        if (failed) return next(failed);
        req.session.contextUser = { id: "42" };
        logger.info(`regenerated ${tokenToId(req.sessionID)}`);
        req.session.save((error) => {
          logger.info("saved");
          if (error) next(error);
          else res.end();
        });
      });
    });
    app.get("/profile", (_req, res) => {
      logger.info("profile");
      res.end();
    });
    app.post("/logout", (req, res, next) => {
      req.session.destroy((error) => {
        logger.info("logged out");
        if (error) next(error);
        else res.end();
      });
    });
    const client = new Client(await serve(app));
    for (const [method, path] of [
      ["POST", "/login"],
      ["GET", "/profile"],
      ["POST", "/logout"],
    ] as const) {
      expect((await client.send(method, path)).status).toBe(200);
    }

    await finished(sink, 3);
    const lines = sink.lines();
    const at = (message: string): LogLine | undefined => lines.find(({ msg }) => msg.startsWith(message));
    const id = at("regenerated")?.msg.split(" ")[1];
    const token = decodeURIComponent(client.cookie).slice("connect.sid=s:".length).split(".")[0] ?? "";
    expect(tokenToId(token)).toBe(id);
    expect(at("first")).not.toHaveProperty("sessionId");
    expect(at("anonymous")?.sessionId).not.toBe(id);
    expect(at("anonymous")).not.toHaveProperty("userId");
    for (const message of ["regenerated", "saved", "profile"]) {
      expect(at(message), message).toMatchObject({ sessionId: id, userId: "42" });
    }
    expect(at("logged out")).not.toHaveProperty("sessionId");
    expect(at("logged out")).not.toHaveProperty("userId");

    expect(new Set(lines.map(({ requestId }) => requestId)).size).toBe(3);
    for (const { requestId } of lines) expect(requestId).toMatch(uuid);
    expect(lines.filter(({ msg }) => msg === "finished")).toMatchObject([
      { sessionId: id, userId: "42" },
      { sessionId: id, userId: "42" },
      {},
    ]);
    expect(sink.text()).not.toContain(token);
  });

  test("the context survives a body, a stream, an error and a timer", async () => {
    const { app, sink, logger } = createApp(express);
    app.post("/raw", (req, res) => {
      // A listener of the request itself: its parser belongs to the connection, not to the request.
      req.on("data", () => logger.info("data"));
      req.on("end", () => setTimeout(() => res.end(), 1));
      req.on("close", () => logger.info("closed"));
    });
    app.post("/json", (_req, res) => {
      logger.info("parsed");
      res.end();
    });
    app.get("/fail", () => {
      throw new Error("on purpose");
    });
    // Express knows an error handler by its four parameters.
    app.use((_error: unknown, _req: unknown, res: express5.Response, _next: unknown) => {
      logger.info("failed");
      res.status(500).end();
    });
    const client = new Client(await serve(app));
    const big = Buffer.alloc(200_000, "x");
    await Promise.all([
      ...[1, 2, 3].map(() => client.send("POST", "/raw", { body: big })),
      ...[1, 2, 3].map(() =>
        client.send("POST", "/json", { body: '{"a":1}', headers: { "content-type": "application/json" } }),
      ),
      client.send("GET", "/fail"),
    ]);
    await finished(sink, 7);
    const lines = sink.lines();
    expect(new Set(lines.map(({ requestId }) => requestId)).size).toBe(7);
    for (const message of ["parsed", "failed", "closed", "finished"]) {
      const ids = lines.filter(({ msg }) => msg === message).map(({ requestId }) => requestId);
      expect(new Set(ids).size, message).toBe(ids.length);
      for (const requestId of ids) expect(requestId, message).toMatch(uuid);
    }
  });

  test("the trusted header, the application's own values and its session id replace ours", async () => {
    const { app, sink, logger } = createApp(express, {
      requestIdHeader: "X-Request-Id",
      sessionId: (req) => req.headers.authorization && "from-elsewhere",
      userId: () => "7",
      values: (req) => ({ tenant: req.headers.host ?? "" }),
    });
    app.get("/", (_req, res) => {
      logger.info("here");
      res.end();
    });
    const url = await serve(app);
    await fetch(url, { headers: { "x-request-id": "r-1", authorization: "x" } });
    await fetch(url, { headers: { "x-request-id": "forged id" } });
    const [first, second] = sink.lines().filter(({ msg }) => msg === "here");
    const tenant = url.slice("http://".length);
    expect(first).toMatchObject({ requestId: "r-1", sessionId: "from-elsewhere", userId: "7", tenant });
    expect(second).toMatchObject({ requestId: expect.stringMatching(uuid), tenant });
    expect(second).not.toHaveProperty("sessionId");
    // Without a session, no user is logged in.
    expect(second).not.toHaveProperty("userId");
  });
});

test("a plain node:http server is served as well", async () => {
  const middleware = expressContext(context, { requestIdHeader: "x-request-id" });
  const seen: unknown[] = [];
  const listener: RequestListener = (req, res) =>
    middleware(req, res, () => {
      req.on("end", () => {
        seen.push(context.get("requestId"), context.get("sessionId"));
        res.end();
      });
      req.resume();
    });
  await fetch(await serve(listener), { method: "POST", body: "x", headers: { "x-request-id": "r1" } });
  expect(seen).toEqual(["r1", undefined]);
});

test.each<[string, unknown]>([
  ["options", null],
  ["userId", { userId: "42" }],
  ["values", { values: {} }],
  ["sessionId", { sessionId: "s" }],
  ["requestIdHeader", { requestIdHeader: 1 }],
  ["header", { header: "x-request-id" }],
])("a wrong option is refused by name: %s", (name, options) => {
  expect(() => expressContext(context, options as ExpressContextOptions)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(`"${name}"`) }),
  );
});

test("types: it is a request handler, and options have the request type of express-session", () => {
  expectTypeOf(expressContext(context)).toExtend<express5.RequestHandler>();
  expressContext(context, {
    userId: (req) => {
      expectTypeOf(req.session.contextUser).toEqualTypeOf<{ id: string } | undefined>();
      return req.session.contextUser?.id;
    },
    // @ts-expect-error a value of another type
    values: () => ({ tenant: 1 }),
  });
  // A request handler of an application is enough of a type for its own middlewares.
  const app = express5();
  expectTypeOf(app.use).toBeCallableWith(expressContext(createContext<{ tenant: string }>({ unset: "unset" })));
});

test("two contexts of one application both apply to the request's events", async () => {
  const [ours, librarys] = [createContext(), createContext()];
  const app = express5();
  app.use(expressContext(ours), expressContext(librarys));
  app.use((req, res) => {
    const seen = () => [ours.get("requestId"), librarys.get("requestId")];
    const before = seen();
    req.resume().on("end", () => res.json({ before, end: seen() }));
  });
  const url = await serve(app);
  const answer = await fetch(url, { method: "POST", body: "x".repeat(100_000) });
  const { before, end } = (await answer.json()) as Record<string, unknown>;
  expect(end).toEqual(before);
});
