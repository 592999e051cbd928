import { SessionError } from "@sojourn/core";
import { describe, expect, test } from "vitest";
import { type Action, Browser, serve } from "./support.js";

const read: Action = (session) => session.data;
const fill: Action = (session) => {
  session.data.name = "Ann";
  return "filled";
};
const login: Action = (session) => session.regenerate({ userId: "ann" });
const logout: Action = (session) => session.destroy();
const down = new SessionError("UNAVAILABLE", "@sojourn/redis: connect ECONNREFUSED 10.0.0.7:6379");
const unavailable = {
  status: 503,
  body: {
    statusCode: 503,
    code: "UNAVAILABLE",
    error: "Service Unavailable",
    message: "Sessions are not available at the moment",
  },
};

describe("while the backend is away", () => {
  test.each(["read", "fill", "login", "logout"])("%s is a 503 that tells nothing of it", async (path) => {
    const app = await serve({ read, fill, login, logout });
    const browser = new Browser(app);
    await browser.get("fill");
    const before = browser.cookie;
    app.fault.error = down;
    expect(await browser.get(path)).toMatchObject({ ...unavailable, setCookie: [] });
    expect(browser.cookie).toBe(before);
    app.fault.error = undefined;
    expect(await browser.body("read")).toEqual({ name: "Ann" });
  });

  test("routes that do not ask for their session work", async () => {
    const app = await serve({ fill }, { routes: (server) => server.get("/health", () => "ok") });
    const browser = new Browser(app);
    await browser.get("fill");
    app.fault.error = down;
    expect(await browser.get("health")).toMatchObject({ status: 200, body: "ok" });
  });

  test("a save that fails is a 503 without cookie, tried once, and the next request begins anew", async () => {
    const app = await serve({ fill, read });
    const browser = new Browser(app);
    app.fault.error = down;
    expect(await browser.get("fill")).toMatchObject({ ...unavailable, setCookie: [] });
    expect(app.calls).toEqual(["create"]);
    app.fault.error = undefined;
    expect(await browser.body("read")).toEqual({});
  });

  test("a handler may do without", async () => {
    const app = await serve(
      { fill },
      {
        routes: (server) =>
          server.get("/anyway", async (request) => {
            try {
              await request.getDecorator("session");
              return "with";
            } catch (error) {
              return (error as SessionError).code;
            }
          }),
      },
    );
    const browser = new Browser(app);
    await browser.get("fill");
    app.fault.error = down;
    expect(await browser.get("anyway")).toMatchObject({ status: 200, body: "UNAVAILABLE" });
  });

  test("a request that asks and does not wait is no crash", async () => {
    const crashes: unknown[] = [];
    const note = (error: unknown): void => void crashes.push(error);
    process.on("unhandledRejection", note);
    const app = await serve(
      { fill },
      {
        routes: (server) =>
          server.get("/careless", (request) => {
            void request.getDecorator("session");
            return "ok";
          }),
      },
    );
    const browser = new Browser(app);
    await browser.get("fill");
    app.fault.error = down;
    expect(await browser.get("careless")).toMatchObject({ status: 200, body: "ok" });
    await new Promise(setImmediate);
    process.off("unhandledRejection", note);
    expect(crashes).toEqual([]);
  });
});

test("a token that was handed out goes to its client also when a later save fails", async () => {
  const app = await serve({
    read,
    login: async (session) => {
      await session.regenerate({ userId: "ann" });
      session.data.name = "Ann";
      app.fault.error = down;
    },
  });
  const browser = new Browser(app);
  expect(await browser.get("login")).toMatchObject({
    status: 503,
    setCookie: [expect.stringContaining("__Host-session=")],
  });
  app.fault.error = undefined;
  expect(await app.manager.listByUser("ann")).toHaveLength(1);
  expect(app.calls.slice(0, 2)).toEqual(["create", "update"]);
});

test("a failed save reaches the application's error handler, whose reply does not fail by it again", async () => {
  const app = await serve(
    { fill },
    {
      routes: (server) => {
        server.setErrorHandler((error: SessionError & { statusCode: number }, _request, reply) =>
          reply.code(error.statusCode).send([error.code, (error.cause as Error).message]),
        );
      },
    },
  );
  app.fault.error = down;
  expect(await new Browser(app).get("fill")).toMatchObject({ status: 503, body: ["UNAVAILABLE", down.message] });
});

test.each<[SessionError["code"], number, RegExp]>([
  ["TIMEOUT", 503, /^Sessions are not available at the moment$/],
  ["BACKEND", 500, /^The session cannot be read or written$/],
  ["CORRUPT", 500, /^The session cannot be read or written$/],
  ["DECODE", 500, /^The session cannot be read or written$/],
])("%s answers %d", async (code, status, message) => {
  const app = await serve({ fill, read });
  const browser = new Browser(app);
  await browser.get("fill");
  app.fault.error = new SessionError(code, "inner details");
  const answer = await browser.get("read");
  expect(answer).toMatchObject({ status, body: { message: expect.stringMatching(message) } });
});

test("what an application may want to answer by itself reaches it as it is", async () => {
  const app = await serve(
    { fill: (session) => Object.assign(session.data, { name: "x".repeat(5_000) }) },
    { manager: { maxPayloadBytes: 1_000 } },
  );
  expect(await new Browser(app).get("fill")).toMatchObject({
    status: 500,
    body: { code: "PAYLOAD_TOO_LARGE", message: expect.stringContaining("maxPayloadBytes") },
    setCookie: [],
  });
});
