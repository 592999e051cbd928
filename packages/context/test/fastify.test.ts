import { setTimeout as delay } from "node:timers/promises";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import { tokenToId } from "@sojourn/core";
import Fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { expect, expectTypeOf, onTestFinished, test } from "vitest";
import { createContext, type FastifyContextOptions, fastifyContext, pinoMixin, requestIds } from "../src/index.js";
import { Client, type LogLine, logSink } from "./support.js";

declare module "fastify" {
  interface Session {
    contextUser?: string;
  }
}

const context = createContext<{ tenant: string }>();
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4/;

async function createApp(
  options: FastifyContextOptions<{ tenant: string }> = {},
): Promise<{ app: FastifyInstance; sink: ReturnType<typeof logSink>; start: () => Promise<string> }> {
  const sink = logSink();
  const mixin = pinoMixin(context, ["requestId", "sessionId", "userId", "tenant"]);
  const app: FastifyInstance = Fastify({
    logger: { mixin, stream: sink.stream },
    genReqId: requestIds("x-request-id"),
    forceCloseConnections: true,
  });
  await app.register(fastifyContext(context, options));
  onTestFinished(() => app.close());
  return { app, sink, start: () => app.listen({ port: 0, host: "127.0.0.1" }) };
}

test("the context reaches every hook, the handler, a body's parser and the last log line", async () => {
  const { app, sink, start } = await createApp({ values: ({ id }) => ({ requestId: id }) });
  for (const name of ["preParsing", "preValidation", "preHandler", "onSend", "onResponse"] as const) {
    app.addHook(name, async (request: FastifyRequest) => request.log.info(name));
  }
  app.addContentTypeParser("text/plain", { parseAs: "string" }, (request, body, done) => {
    request.log.info("parser");
    done(null, body);
  });
  app.post("/", async (_request, reply) => {
    await delay(1);
    app.log.info("handler");
    reply.raw.on("close", () => app.log.info("closed"));
    return "ok";
  });
  const client = new Client(await start());
  const requestIds = ["r1", "r2", "r3", "r4"];
  await Promise.all(
    requestIds.map((id) =>
      client.send("POST", "/", {
        body: "x".repeat(100_000),
        headers: { "content-type": "text/plain", "x-request-id": id },
      }),
    ),
  );
  // A client has its answer before the server hears that it was sent.
  const count = (message: string) => (): number => sink.lines().filter(({ msg }) => msg === message).length;
  await expect.poll(count("closed")).toBe(4);
  await expect.poll(count("request completed")).toBe(4);
  const expected = ["preParsing", "preValidation", "preHandler", "parser", "handler", "onSend", "onResponse"];
  for (const id of requestIds) {
    const messages = sink.lines().flatMap(({ requestId, msg }) => (requestId === id ? [msg] : []));
    expect(messages.sort()).toEqual([...expected, "closed", "request completed"].sort());
  }
  for (const line of sink.lines().filter((line) => "reqId" in line && "requestId" in line)) {
    expect(line).toHaveProperty("reqId", line.requestId);
  }
});

test("without options a request has a UUID as its id, and no session", async () => {
  const { app, start } = await createApp();
  app.get("/", async () => context.getContext());
  const url = await start();
  const answers = await Promise.all([1, 2].map(async () => (await fetch(url)).json()));
  expect(answers).toEqual([{ requestId: expect.stringMatching(uuid) }, { requestId: expect.stringMatching(uuid) }]);
  expect(answers[0]).not.toEqual(answers[1]);
});

test("injected requests, errors and unknown routes have a context as well", async () => {
  const { app, sink } = await createApp({ requestIdHeader: "x-request-id", values: () => ({ tenant: "a" }) });
  app.get("/fail", async () => {
    throw new Error("on purpose");
  });
  app.setErrorHandler((_error, _request, reply) => {
    app.log.info("error handler");
    return reply.status(500).send("failed");
  });
  app.setNotFoundHandler((_request, reply) => {
    app.log.info("not found");
    return reply.status(404).send("none");
  });
  await app.inject({ url: "/fail", headers: { "x-request-id": "r1" } });
  await app.inject({ url: "/none", headers: { "x-request-id": "r2" } });
  const at = (message: string): unknown => sink.lines().find(({ msg }) => msg === message);
  expect(at("error handler")).toMatchObject({ requestId: "r1", tenant: "a" });
  expect(at("not found")).toMatchObject({ requestId: "r2", tenant: "a" });
});

test("with @fastify/session the id is hashed", async () => {
  const { app, sink } = await createApp({ userId: (request) => request.session.get("contextUser") });
  await app.register(fastifyCookie);
  await app.register(fastifySession, { secret: "at least thirty-two bytes of text", cookie: { secure: false } });
  let token = "";
  app.get("/", async (request) => {
    request.session.set("contextUser", "42");
    token = request.session.sessionId;
    request.log.info("stored");
    await request.session.regenerate();
    request.log.info("regenerated");
    token = request.session.sessionId;
    await request.session.destroy();
    request.log.info("destroyed");
    return "ok";
  });
  await app.inject("/");
  const at = (message: string): LogLine | undefined => sink.lines().find(({ msg }) => msg === message);
  expect(at("stored")).toMatchObject({ sessionId: expect.stringMatching(/^[\w-]{43}$/), userId: "42" });
  expect(at("regenerated")).toMatchObject({ sessionId: tokenToId(token) });
  expect(at("regenerated")?.sessionId).not.toBe(at("stored")?.sessionId);
  expect(at("destroyed")).not.toHaveProperty("sessionId");
  expect(sink.text()).not.toContain(token);
});

test("a wrong option is refused by name", () => {
  const options = { userID: () => "1" } as FastifyContextOptions;
  expect(() => fastifyContext(context, options)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining('"userID"') }),
  );
});

test("types: options have Fastify's request type", () => {
  fastifyContext(context, {
    userId: (request) => {
      expectTypeOf(request).toEqualTypeOf<FastifyRequest>();
      return undefined;
    },
    values: () => ({ tenant: "a" }),
  });
  // @ts-expect-error a value of another type
  fastifyContext(context, { values: () => ({ tenant: 1 }) });
});
