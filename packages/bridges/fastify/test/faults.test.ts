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

describe("while the backend cannot be reached", () => {
  test.each(["read", "fill", "login", "logout"])(
    "%s is a 503 whose message does not describe the backend",
    async (path) => {
      const app = await serve({ read, fill, login, logout });
      const browser = new Browser(app);
      await browser.get("fill");
      const before = browser.cookie;
      app.fault.error = down;
      expect(await browser.get(path)).toMatchObject({ ...unavailable, setCookie: [] });
      expect(browser.cookie).toBe(before);
      app.fault.error = undefined;
      expect(await browser.body("read")).toEqual({ name: "Ann" });
    },
  );

  test("routes that do not ask for their session work", async () => {
    const app = await serve({ fill }, { routes: (server) => server.get("/health", () => "ok") });
    const browser = new Browser(app);
    await browser.get("fill");
    app.fault.error = down;
    expect(await browser.get("health")).toMatchObject({ status: 200, body: "ok" });
  });

  test("a failed save is a 503 without a cookie, is not repeated, and the next request begins a new session", async () => {
    const app = await serve({ fill, read });
    const browser = new Browser(app);
    app.fault.error = down;
    expect(await browser.get("fill")).toMatchObject({ ...unavailable, setCookie: [] });
    expect(app.calls).toEqual(["create"]);
    app.fault.error = undefined;
    expect(await browser.body("read")).toEqual({});
  });

  test("a handler may catch the error and continue without a session", async () => {
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

  test("a failed load that the handler does not await causes no unhandled rejection", async () => {
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

test("the token of a login reaches its client even if a later save fails", async () => {
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

test("a failed save reaches the application's error handler, whose reply is sent without another save", async () => {
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

test("an error that an application may answer itself reaches it unchanged", async () => {
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
