import { SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import express, { type Request, Router } from "express";
import expressSession from "express-session";
import { describe, expect, onTestFinished, test } from "vitest";
import { type ExpressSessionsOptions, expressSessions, type RequestSession, sessionOf } from "../src/index.js";
import { type Action, Browser, type Data, secret, serve, versions } from "./support.js";

/** Returns `request.session`, whose type express-session's types declare in this program. */
function sessionIn<Session>(request: Request): Session {
  return request.session as unknown as Session;
}

const count: Action = (session, _request, response) => {
  session.data.views = (session.data.views ?? 0) + 1;
  response.json(session.data.views);
};
const untouched: Action = (_session, _request, response) => response.json("untouched");

test.each(versions)(
  "%s: lazy, req.session is a promise, and a request that does not ask makes no store call",
  async (_v, express) => {
    const app = await serve(
      { count },
      {
        express,
        after: (server) => {
          server.get("/untouched", (_request, response) => response.json(1));
          server.get("/lazy", async (request, response) => {
            const { data } = await sessionIn<Promise<RequestSession<Data>>>(request);
            response.json(data);
          });
        },
      },
    );
    const browser = new Browser(app);
    await browser.get("count");
    app.calls.length = 0;
    expect((await browser.get("untouched")).body).toBe(1);
    expect(app.calls).toEqual([]);
    expect(await browser.body("lazy")).toEqual({ views: 1 });
    expect(app.calls).toEqual(["get"]);
  },
);

test.each(versions)("%s: eager, req.session is the session", async (_version, express) => {
  const app = await serve(
    { count },
    {
      express,
      sessions: { eager: true },
      after: (server) =>
        server.get("/eager", (request, response) => {
          const session = sessionIn<RequestSession<Data>>(request);
          session.data.views = (session.data.views ?? 0) + 1;
          response.json({ views: session.data.views, isNew: session.isNew });
        }),
    },
  );
  const browser = new Browser(app);
  await browser.get("count");
  expect(await browser.body("eager")).toEqual({ views: 2, isNew: false });
  expect(await browser.body("read")).toEqual({ views: 2 });
  expect(await new Browser(app).body("eager")).toEqual({ views: 1, isNew: true });
});

test("eager: a store that is down is reported before the route", async () => {
  const app = await serve({ count, untouched }, { sessions: { eager: true } });
  const browser = new Browser(app);
  await browser.get("count");
  app.fault.error = new Error("down");
  expect((await browser.get("untouched")).status).toBe(500);
});

describe.each(versions)("%s", (_version, express) => {
  test("a session that is used in a mounted application, and answered outside it", async () => {
    const inner = express();
    const app = await serve(
      {},
      {
        express,
        after: (server, manager) => {
          inner.use(async (request: Request, _response, next) => {
            (await sessionOf(request, manager)).data.name = "Ann";
            next();
          });
          server.use("/mounted", inner);
          // Not mounted: Express does not connect its prototypes.
          server.use(
            "/plain",
            Router().use((request, response, next) => inner(request, response, next)),
          );
          server.get(["/mounted", "/plain"], (_request, response) => response.json(1));
        },
      },
    );
    for (const path of ["mounted", "plain"]) {
      const browser = new Browser(app);
      expect((await browser.get(path)).setCookie).toHaveLength(1);
      expect(await browser.body("read")).toEqual({ name: "Ann" });
    }
  });

  test("a middleware of a mounted application", async () => {
    const manager = new SessionManager<Data>({ store: new MemoryStore(), sweep: false });
    onTestFinished(() => manager.close());
    const inner = express();
    inner.use(expressSessions({ manager, secret, decorator: "inner", cookie: { name: "__Host-inner" } }));
    inner.use(async (request: Request, _response, next) => {
      (await sessionOf(request, manager)).data.name = "Ann";
      next();
    });
    inner.get("/read", async (request, response) => response.json((await sessionOf(request, manager)).data));
    const app = await serve(
      {},
      {
        express,
        after: (server) => {
          server.use("/inner", inner);
          server.get("/inner", (_request, response) => response.json(1));
        },
      },
    );
    const browser = new Browser(app);
    expect((await browser.get("inner")).setCookie).toHaveLength(1);
    expect(await browser.body("inner/read")).toEqual({ name: "Ann" });
  });
});

describe("two middlewares", () => {
  test("one manager in two of them is refused, with the reason", async () => {
    const app = await serve(
      { count },
      { after: (server, manager) => server.use(expressSessions({ manager, secret, decorator: "other" })) },
    );
    const { status, body } = await new Browser(app).get("count");
    expect([status, body]).toEqual([
      500,
      {
        error:
          "@sojourn/express: two middlewares have the same manager, so that each would write over the other's changes: use one of them",
      },
    ]);
  });

  test("one middleware may be used twice", async () => {
    const manager = new SessionManager<Data>({ store: new MemoryStore(), sweep: false });
    onTestFinished(() => manager.close());
    const sessions = expressSessions({ manager, secret, decorator: "own", cookie: { name: "__Host-own" } });
    const app = await serve({ count }, { after: (server) => server.use(sessions).use(sessions) });
    expect((await new Browser(app).get("count")).status).toBe(200);
  });

  test("two managers under two names are two sessions, which one response saves", async () => {
    const manager = new SessionManager<Data>({ store: new MemoryStore(), sweep: false });
    onTestFinished(() => manager.close());
    const both: Action = async (session, request, response) => {
      session.data.name = "outer";
      (await sessionOf(request, manager)).data.name = "inner";
      response.json(1);
    };
    const inner: Action = async (_session, request, response) =>
      response.json((await sessionOf(request, manager)).data);
    const second = expressSessions({ manager, secret, decorator: "inner", cookie: { name: "__Host-inner" } });
    const app = await serve({ both, inner }, { after: (server) => server.use(second) });
    const browser = new Browser(app);
    expect((await browser.get("both")).setCookie).toHaveLength(2);
    expect([await browser.body("read"), await browser.body("inner")]).toEqual([{ name: "outer" }, { name: "inner" }]);
  });

  test("a property that express-session has set is not replaced", async () => {
    const app = await serve(
      { count },
      { before: (server) => server.use(expressSession({ secret, resave: false, saveUninitialized: false })) },
    );
    const { body } = await new Browser(app).get("count");
    expect(body).toEqual({
      error:
        '@sojourn/express: the request has a property "session" already, such as the one of express-session: use another "decorator"',
    });
  });
});

test("sessionOf without the middleware says so", async () => {
  const manager = new SessionManager<Data>({ store: new MemoryStore(), sweep: false });
  onTestFinished(() => manager.close());
  expect(() => sessionOf(Object.create(express.request), manager)).toThrow(
    "@sojourn/express: expressSessions with this manager does not run before the code that asks for its session",
  );
});

test("close closes the manager that was made for a store, and no other", async () => {
  const store = new MemoryStore();
  const ended: string[] = [];
  const close = store.close.bind(store);
  store.close = () => {
    ended.push("closed");
    return close();
  };
  await expressSessions({ store, secret, sweep: false }).close();
  const manager = new SessionManager({ store: new MemoryStore(), sweep: false });
  await expressSessions({ manager, secret }).close();
  expect(ended).toEqual(["closed"]);
  expect(await manager.get("a".repeat(43))).toBeUndefined();
  await manager.close();
});

test.each<[string, object | undefined, string]>([
  ["no options", undefined, '"options" must be an object'],
  ["no manager", { secret }, '"store"'],
  ["no secret", { store: new MemoryStore(), sweep: false }, '"secret"'],
  [
    "a decorator that is no name",
    { store: new MemoryStore(), secret, decorator: "" },
    '"decorator" must be the name of a property',
  ],
  ["eager that is no boolean", { store: new MemoryStore(), secret, eager: "yes" }, '"eager" must be a boolean'],
])("%s is refused", (_name, options, message) => {
  expect(() => expressSessions(options as ExpressSessionsOptions)).toThrow(message);
});
