import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SessionError } from "@sojourn/core";
import compression from "compression";
import type { Response } from "express";
import { describe, expect, test, vi } from "vitest";
import { type Action, Browser, expectNoCrash, serve, versions } from "./support.js";

const down = new SessionError("UNAVAILABLE", "connect ECONNREFUSED 10.0.0.7:6379");
const half = "x".repeat(250_000);
const large = (): Readable => Readable.from([half, half]);
const slowly = async function* (): AsyncGenerator<string> {
  yield "a stream ";
  await new Promise(setImmediate);
  yield "of text";
};

const writeTwice = (response: Response): void => {
  response.write("a ");
  response.write("b");
  response.end(" c");
};
const flushFirst = (response: Response): void => {
  response.flushHeaders();
  response.write("a");
  response.end("b");
};
const answerTwice = (response: Response): void => {
  response.json({ a: 1 });
  response.status(500).json({ longer: "than the first" });
};

/** Answers after a change of the session: status and body. */
const answers: [string, (response: Response) => unknown, { status: number; body: unknown }][] = [
  ["json", (res) => res.json({ a: 1 }), { status: 200, body: { a: 1 } }],
  ["send", (res) => res.status(201).send("text"), { status: 201, body: "text" }],
  ["a buffer", (res) => res.type("text").send(Buffer.from("text")), { status: 200, body: "text" }],
  ["a redirect", (res) => res.redirect("/elsewhere"), { status: 302, body: "Found. Redirecting to /elsewhere" }],
  ["204", (res) => res.status(204).end(), { status: 204, body: "" }],
  ["sendStatus", (res) => res.sendStatus(404), { status: 404, body: "Not Found" }],
  ["an empty end", (res) => res.end(), { status: 200, body: "" }],
  [
    "end with a callback",
    (res) => new Promise<void>((ended) => res.end("text", () => ended())),
    { status: 200, body: "text" },
  ],
  ["write and end", writeTwice, { status: 200, body: "a b c" }],
  ["writeHead", (res) => res.writeHead(202, { "x-own": "1" }).end("text"), { status: 202, body: "text" }],
  ["writeHead with a message", (res) => res.writeHead(418, "Tea", { "x-own": "1" }).end(), { status: 418, body: "" }],
  ["pipe", (res) => Readable.from(slowly()).pipe(res), { status: 200, body: "a stream of text" }],
  ["pipe of 500 KB", (res) => large().pipe(res), { status: 200, body: half + half }],
  ["pipeline of 500 KB", (res) => pipeline(large(), res), { status: 200, body: half + half }],
  ["flushHeaders and write", flushFirst, { status: 200, body: "ab" }],
  ["two answers", answerTwice, { status: 200, body: { a: 1 } }],
];

describe.each(versions)("%s: the session is saved, and its cookie sent, with", (_version, express) => {
  test.each(answers)("%s", async (_name, answer, expected) => {
    expectNoCrash();
    const app = await serve(
      {
        go: (session, _request, response) => {
          session.data.name = "Ann";
          return answer(response);
        },
      },
      { express },
    );
    const browser = new Browser(app);
    const got = await browser.get("go");
    expect(got).toMatchObject(expected);
    expect(got.setCookie).toHaveLength(1);
    expect(app.calls).toEqual(["create"]);
    expect(await browser.body("read")).toEqual({ name: "Ann" });
  });

  test("HEAD and 304", async () => {
    const app = await serve({ count: counting }, { express });
    const browser = new Browser(app);
    expect(await browser.get("count", { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
    const { headers } = await browser.get("count");
    const etag = headers.get("etag") ?? "";
    // `fetch` would forbid a 304 by its own cache-control.
    const { cookie } = browser;
    const outgoing = httpRequest(`${app.url}/count`, { headers: { cookie, "if-none-match": etag } }).end();
    const [{ statusCode }] = await once(outgoing, "response");
    expect(statusCode).toBe(304);
    expect(await browser.body("read")).toEqual({ views: 3 });
  });

  test("an error thrown before the response", async () => {
    const broken: Action = (session) => {
      session.data.name = "Ann";
      throw Object.assign(new Error("broken"), { statusCode: 418 });
    };
    const app = await serve({ broken }, { express });
    const browser = new Browser(app);
    expect(await browser.get("broken")).toMatchObject({ status: 418, body: { error: "broken" } });
    expect(await browser.body("read")).toEqual({ name: "Ann" });
  });

  test("an error thrown after the response", async () => {
    const broken: Action = (session, _request, response) => {
      session.data.name = "Ann";
      response.json({ a: 1 });
      throw new Error("too late");
    };
    const app = await serve({ broken }, { express, onError: undefined });
    const browser = new Browser(app);
    expect(await browser.get("broken")).toMatchObject({ status: 200, body: { a: 1 } });
    expect(await browser.body("read")).toEqual({ name: "Ann" });
  });

  test.each(["before", "after"] as const)("compression registered %s ours", async (place) => {
    const compress = compression({ threshold: 0 });
    const stream: Action = (session, _request, response) => {
      session.data.name = "Ann";
      response.type("text");
      large().pipe(response);
    };
    const app = await serve(
      { count: counting, stream },
      { express, [place]: (server: { use(handler: typeof compress): unknown }) => server.use(compress) },
    );
    const browser = new Browser(app);
    const json = await browser.get("count");
    expect([json.headers.get("content-encoding"), json.body]).toEqual(["gzip", { page: "text" }]);
    expect(json.setCookie).toHaveLength(1);
    const piped = await browser.get("stream");
    expect([piped.headers.get("content-encoding"), piped.body]).toEqual(["gzip", half + half]);
    expect(await browser.body("read")).toEqual({ views: 1, name: "Ann" });
  });

  test("an event stream: the head with the cookie at once, later changes at its end", async () => {
    const gate = new EventTarget();
    const app = await serve(
      {
        events: async (session, _request, response) => {
          session.data.views = 1;
          response.setHeader("content-type", "text/event-stream");
          response.flushHeaders();
          await once(gate, "go");
          response.write("data: 1\n\n");
          session.data.views = 2;
          response.end();
        },
      },
      { express },
    );
    const response = await fetch(`${app.url}/events`);
    expect(response.headers.getSetCookie()).toHaveLength(1);
    expect(app.calls).toEqual(["create"]);
    gate.dispatchEvent(new Event("go"));
    expect(await response.text()).toBe("data: 1\n\n");
    const cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    expect(await (await fetch(`${app.url}/read`, { headers: { cookie } })).json()).toEqual({ views: 2 });
  });

  test("while the save runs, the response looks sent", async () => {
    const seen: unknown[] = [];
    const app = await serve(
      {
        look: (session, _request, response) => {
          session.data.name = "Ann";
          response.setHeader("x-before", "1");
          response.json({ a: 1 });
          seen.push(response.headersSent, response.writableEnded);
          expect(() => response.setHeader("x-after", "1")).toThrow(
            expect.objectContaining({ code: "ERR_HTTP_HEADERS_SENT" }),
          );
          expect(() => response.removeHeader("x-before")).toThrow(/after they are sent/);
          expect(() => response.writeHead(500)).toThrow(/after they are sent/);
          response.statusCode = 500;
        },
      },
      { express },
    );
    const { status, headers, body } = await new Browser(app).get("look");
    expect({ status, body, before: headers.get("x-before"), seen }).toEqual({
      status: 200,
      body: { a: 1 },
      before: "1",
      seen: [true, true],
    });
  });

  test("a client that goes away during the save: the session is saved, and nothing breaks", async () => {
    expectNoCrash();
    const save = withResolvers();
    const app = await serve({ count: counting }, { express });
    app.fault.wait = save.promise;
    const outgoing = httpRequest(`${app.url}/count`).on("error", () => undefined);
    outgoing.end();
    await vi.waitUntil(() => app.calls.includes("create"));
    const closed = new Promise((resolve) => outgoing.once("close", resolve));
    outgoing.destroy();
    await closed;
    save.resolve();
    app.fault.wait = undefined;
    await vi.waitUntil(async () => (await app.count()) === 1);
    expect(app.errors).toEqual([]);
    expect((await new Browser(app).get("read")).status).toBe(200);
  });

  test("a session that only reads costs the response nothing", async () => {
    const app = await serve({ count: counting }, { express });
    const browser = new Browser(app);
    await browser.get("count");
    app.calls.length = 0;
    const { headers, setCookie } = await browser.get("read");
    expect([headers.get("cache-control"), setCookie, app.calls]).toEqual([null, [], ["get"]]);
  });
});

describe.each(versions)("%s: a save that fails", (_version, express) => {
  const fails = (answer: (response: Response) => unknown) =>
    ({
      go: (session, _request, response) => {
        session.data.name = "Ann";
        return answer(response);
      },
    }) satisfies Record<string, Action>;

  test("reaches the error handlers, in place of the response", async () => {
    expectNoCrash();
    const go = fails((response) => response.location("/x").set("x-own", "1").type("html").send("<b>saved</b>"));
    const app = await serve(go, { express });
    app.fault.error = down;
    const { status, body, headers, setCookie } = await new Browser(app).get("go");
    expect({ status, body }).toEqual({ status: 503, body: { error: "Sessions are not available at the moment" } });
    expect([headers.get("location"), headers.get("x-own"), headers.get("content-type"), setCookie]).toEqual([
      null,
      "1",
      "application/json; charset=utf-8",
      [],
    ]);
    expect(app.errors).toMatchObject([{ code: "UNAVAILABLE", cause: down }]);
  });

  test("is answered 503 by Express itself without an error handler", async () => {
    const app = await serve(
      fails((response) => response.redirect("/")),
      { express, onError: undefined },
    );
    app.fault.error = down;
    const { status, headers } = await new Browser(app).get("go");
    expect([status, headers.get("location")]).toEqual([503, null]);
  });

  test.each<[string, (response: Response) => unknown]>([
    ["pipe", (response) => large().pipe(response)],
    [
      "an event stream",
      (response) => {
        response.type("text/event-stream").flushHeaders();
        const timer = setInterval(() => response.write("data: 1\n\n"), 1);
        response.on("close", () => clearInterval(timer));
      },
    ],
  ])("during %s is answered as plain text", async (_name, answer) => {
    expectNoCrash();
    const app = await serve(fails(answer), { express, onError: undefined });
    app.fault.error = down;
    const { status, body, headers } = await new Browser(app).get("go");
    expect({ status, body }).toEqual({ status: 503, body: "Sessions are not available at the moment" });
    expect(headers.get("content-type")).toBe("text/plain; charset=utf-8");
    await vi.waitUntil(() => app.errors.length === 1);
  });

  test("under compression that was registered after ours is answered as plain text", async () => {
    expectNoCrash();
    const app = await serve(
      fails((response) => response.json({ a: 1 })),
      {
        express,
        sessions: { eager: true },
        after: (server) => server.use(compression({ threshold: 0 })),
      },
    );
    app.fault.error = down;
    const { status, body, headers } = await new Browser(app).get("go");
    expect([status, body, headers.get("content-encoding")]).toEqual([
      503,
      "Sessions are not available at the moment",
      null,
    ]);
  });

  test("after the head cuts the response off", async () => {
    expectNoCrash();
    const app = await serve(
      {
        late: async (session, _request, response) => {
          await session.save();
          await new Promise((written) => response.write("begun", written));
          session.data.name = "Ann";
          app.fault.error = down;
          response.end();
        },
      },
      { express },
    );
    const response = await fetch(`${app.url}/late`);
    await expect(response.text()).rejects.toThrow(/terminated/);
    expect(app.errors).toMatchObject([{ code: "UNAVAILABLE" }]);
  });

  test("after a login sends the login's cookie with the error", async () => {
    const app = await serve(
      {
        login: async (session, _request, response) => {
          await session.regenerate({ userId: "ann" });
          session.data.name = "Ann";
          app.fault.error = down;
          response.json({});
        },
        who: ({ userId }, _request, response) => response.json({ userId }),
      },
      { express },
    );
    const browser = new Browser(app);
    expect((await browser.get("login")).status).toBe(503);
    app.fault.error = undefined;
    expect(await browser.body("who")).toEqual({ userId: "ann" });
  });
});

const counting: Action = (session, _request, response) => {
  session.data.views = (session.data.views ?? 0) + 1;
  response.json({ page: "text" });
};

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
