import { once } from "node:events";
import { Readable } from "node:stream";
import type { FastifyInstance } from "fastify";
import { describe, expect, test } from "vitest";
import { type Action, Browser, serve } from "./support.js";

const read: Action = (session) => session.data;
const fill: Action = (session) => {
  session.data.name = "Ann";
  return "filled";
};
const slowly = async function* (): AsyncGenerator<string> {
  yield "a stream ";
  await new Promise(setImmediate);
  yield "of text";
};

describe("the session is saved, and its cookie sent, with", () => {
  test.each<[string, Action, { status: number; body: unknown }]>([
    ["a string", () => "text", { status: 200, body: "text" }],
    ["an object", () => ({ a: 1 }), { status: 200, body: { a: 1 } }],
    ["nothing", () => undefined, { status: 200, body: "" }],
    ["a stream of Node", () => Readable.from(slowly()), { status: 200, body: "a stream of text" }],
    ["a stream of the web", () => Readable.toWeb(Readable.from(slowly())), { status: 200, body: "a stream of text" }],
    ["a Response", () => new Response("text", { status: 202 }), { status: 202, body: "text" }],
    ["a status without content", (_s, _r, reply) => reply.code(204).send(), { status: 204, body: "" }],
    ["a redirect", (_s, _r, reply) => reply.redirect("/elsewhere"), { status: 302, body: "" }],
    ["a reply that is sent and returned", (_s, _r, reply) => reply.send("text"), { status: 200, body: "text" }],
    ["a reply sent without returning it", (_s, _r, reply) => void reply.send("text"), { status: 200, body: "text" }],
    [
      "a stream sent without returning it",
      (_s, _r, reply) => void reply.send(Readable.from(slowly())),
      { status: 200, body: "a stream of text" },
    ],
    [
      "a reply sent later",
      (_s, _r, reply) => {
        setTimeout(() => reply.send("text"), 5);
        return reply;
      },
      { status: 200, body: "text" },
    ],
    ["an error of the client", (_s, _r, reply) => reply.code(422).send({ a: 1 }), { status: 422, body: { a: 1 } }],
    [
      "an error that is thrown",
      () => {
        throw Object.assign(new Error("broken"), { statusCode: 418 });
      },
      { status: 418, body: { statusCode: 418, error: "I'm a Teapot", message: "broken" } },
    ],
    [
      "an error sent without returning it",
      (_s, _r, reply) => void reply.send(Object.assign(new Error("broken"), { statusCode: 418 })),
      { status: 418, body: expect.objectContaining({ message: "broken" }) },
    ],
  ])("%s", async (_name, action, expected) => {
    const crashes: unknown[] = [];
    const note = (error: unknown): void => void crashes.push(error);
    process.on("unhandledRejection", note);
    const app = await serve({
      read,
      go: (session, request, reply) => {
        session.data.name = "Ann";
        return action(session, request, reply);
      },
    });
    const browser = new Browser(app);
    const answer = await browser.get("go");
    expect(answer).toMatchObject(expected);
    expect(answer.setCookie).toHaveLength(1);
    expect(app.calls).toEqual(["create"]);
    expect(await browser.body("read")).toEqual({ name: "Ann" });
    process.off("unhandledRejection", note);
    expect(crashes).toEqual([]);
  });

  test("HEAD, and 304", async () => {
    const app = await serve({
      read,
      fill,
      unmodified: (session, _request, reply) => {
        session.data.name = "Bob";
        return reply.code(304).send();
      },
    });
    const browser = new Browser(app);
    expect(await browser.get("fill", { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
    expect((await browser.get("unmodified")).status).toBe(304);
    expect(await browser.body("read")).toEqual({ name: "Bob" });
  });

  test("an injected request", async () => {
    const { app } = await serve({ read, fill });
    const filled = await app.inject("/fill");
    const [cookie] = filled.cookies;
    const cookies = { [cookie?.name ?? ""]: cookie?.value ?? "" };
    expect((await app.inject({ url: "/read", cookies })).json()).toEqual({ name: "Ann" });
  });

  test("changes of hooks and error handlers before the reply", async () => {
    const hooks = (app: FastifyInstance): void => {
      app.addHook("onRequest", async (request) => {
        const session = await request.getDecorator<Promise<{ data: Record<string, unknown> }>>("session");
        session.data.onRequest = true;
      });
      app.addHook("onSend", async (request) => {
        if (request.url === "/fails") throw new Error("a later hook failed");
      });
      app.setErrorHandler(async (error: Error, request, reply) => {
        const session = await request.getDecorator<Promise<{ data: Record<string, unknown> }>>("session");
        session.data.handled = error.message;
        return reply.code(500).send("handled");
      });
      app.get("/fails", () => "ok");
      app.get("/throws", () => {
        throw new Error("thrown");
      });
    };
    const app = await serve({ read }, { routes: hooks });
    const browser = new Browser(app);
    expect(await browser.get("throws")).toMatchObject({ status: 500, body: "handled" });
    expect(await browser.body("read")).toEqual({ onRequest: true, handled: "thrown" });
    const failing = await browser.get("fails");
    expect(failing.status).toBe(500);
    expect(await browser.body("nowhere")).toMatchObject({ statusCode: 404 });
  });
});

describe("a hijacked reply", () => {
  test("carries the session when it is committed before", async () => {
    const app = await serve({
      read,
      raw: async (session, _request, reply) => {
        session.data.name = "Ann";
        await session.commit(reply);
        reply.hijack();
        for (const [name, value] of Object.entries(reply.getHeaders())) {
          if (value !== undefined) reply.raw.setHeader(name, value);
        }
        reply.raw.end("raw");
      },
    });
    const browser = new Browser(app);
    const answer = await browser.get("raw");
    expect(answer).toMatchObject({ body: "raw", setCookie: [expect.stringContaining("__Host-session=")] });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(await browser.body("read")).toEqual({ name: "Ann" });
  });

  test("is left alone otherwise", async () => {
    const app = await serve({
      raw: (session, _request, reply) => {
        session.data.name = "Ann";
        reply.hijack();
        reply.raw.end("raw");
      },
    });
    expect(await new Browser(app).get("raw")).toMatchObject({ status: 200, body: "raw", setCookie: [] });
    expect(app.calls).toEqual([]);
  });
});

test("a login inside a stream is refused once the reply has begun, and the session keeps its token", async () => {
  const outcomes: unknown[] = [];
  const app = await serve({
    read,
    fill,
    stream: (session) => {
      const chunks = async function* (): AsyncGenerator<string> {
        yield "begun ";
        await new Promise(setImmediate);
        await session.regenerate({ userId: "ann" }).catch((error: unknown) => outcomes.push(error));
        yield "ended";
      };
      return Readable.from(chunks());
    },
  });
  const browser = new Browser(app);
  await browser.get("fill");
  expect(await browser.get("stream")).toMatchObject({ body: "begun ended", setCookie: [] });
  expect(outcomes).toMatchObject([{ code: "NOT_SUPPORTED", message: expect.stringContaining("has begun") }]);
  expect(await browser.body("read")).toEqual({ name: "Ann" });
});

test("a client that disconnects during the request causes no error", async () => {
  const crashes: unknown[] = [];
  const note = (error: unknown): void => void crashes.push(error);
  process.on("unhandledRejection", note);
  const app = await serve({
    read,
    slow: async (session, request) => {
      session.data.name = "Ann";
      controller.abort();
      await once(request.raw, "close");
      return "nobody listens";
    },
  });
  const controller = new AbortController();
  await expect(new Browser(app).get("slow", { signal: controller.signal })).rejects.toThrow();
  expect(await new Browser(app).body("read")).toEqual({});
  process.off("unhandledRejection", note);
  expect(crashes).toEqual([]);
});
