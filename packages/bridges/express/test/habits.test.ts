import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { SessionManager, type SessionManagerOptions } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { Barrier } from "@sojourn/test-fixtures";
import flash from "connect-flash";
import { doubleCsrf } from "csrf-csrf";
import { csrfSync } from "csrf-sync";
import express, { type Express, type Request, type RequestHandler } from "express";
import { rateLimit } from "express-rate-limit";
import { Passport } from "passport";
import { Server } from "socket.io";
import { io } from "socket.io-client";
import { describe, expect, onTestFinished, test } from "vitest";
import { type ExpressSessionsOptions, expressSessions, type HabitSession, sessionOf } from "../src/index.js";
import { Browser, expectNoCrash, secret, versions } from "./support.js";

/* Packages that were written for express-session, on sessions of our own. */

interface Data {
  views: number;
  cart: string[];
  passport: { user?: string };
}

/** Returns the session. In this program, express-session's types declare `request.session`. */
function sessionIn(request: object): HabitSession<Data> {
  return Reflect.get(request, "session") as HabitSession<Data>;
}

interface App {
  readonly url: string;
  readonly manager: SessionManager<Data>;
  readonly sessions: ReturnType<typeof expressSessions>;
}

const passportUser = (data: Partial<Data>): string | undefined => data.passport?.user;

async function serve(
  routes: (app: Express, manager: SessionManager<Data>) => unknown,
  options: Partial<ExpressSessionsOptions> & {
    make?: typeof express;
    managed?: Partial<SessionManagerOptions<Data>>;
  } = {},
): Promise<App> {
  const { make = express, managed, ...others } = options;
  const manager = new SessionManager<Data>({
    store: new MemoryStore(),
    sweep: false,
    ...managed,
  } as SessionManagerOptions<Data>);
  const sessions = expressSessions({ manager, secret, habits: true, ...others } as ExpressSessionsOptions);
  const app = make();
  app.set("env", "test");
  app.use(sessions);
  app.get("/read", (request, response) => void response.json({ ...sessionIn(request) }));
  routes(app, manager);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await manager.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, manager, sessions };
}

describe.each(versions)("%s: Passport", (_version, make) => {
  let gate = new Barrier();
  const serveWithPassport = (options: Parameters<typeof serve>[1] = {}): Promise<App> => {
    const passport = new Passport();
    passport.serializeUser((user, done) => done(undefined, (user as { id: string }).id));
    passport.deserializeUser((id, done) => done(undefined, { id }));
    return serve(
      (app, manager) => {
        app.use(passport.session());
        app.get("/login", (request, response, next) => {
          const keepSessionInfo = request.query.keep !== undefined;
          request.logIn({ id: String(request.query.user) } as Express.User, { keepSessionInfo } as never, (error) => {
            if (error) next(error);
            else response.redirect("/who");
          });
        });
        app.get("/who", (request, response) => void response.json(request.user ?? {}));
        app.get("/fill", (request, response) => {
          const session = sessionIn(request);
          session.cart ??= [];
          session.cart.push("book");
          response.json(session.cart);
        });
        app.get("/logout", (request, response, next) => {
          request.logOut((error) => (error ? next(error) : response.json("bye")));
        });
        app.get("/slow", async (request, response) => {
          sessionIn(request).views = 1;
          await gate.wait();
          response.json("late");
        });
        app.get("/everywhere", async (request, response) => {
          const session = await sessionOf(request, manager);
          response.json((await session.destroyOthers()).length);
        });
      },
      { make, userId: passportUser, ...options },
    );
  };

  test("login, the user of later requests, logout", async () => {
    expectNoCrash();
    const app = await serveWithPassport();
    const browser = new Browser(app);
    expect((await browser.get("login?user=ann")).status).toBe(302);
    expect(await browser.body("who")).toEqual({ id: "ann" });
    expect(await app.manager.listByUser("ann")).toHaveLength(1);
    expect(await browser.body("logout")).toBe("bye");
    expect(await browser.body("who")).toEqual({});
    expect(await app.manager.listByUser("ann")).toEqual([]);
  });

  test("a login gives the session a new token, drops its data, and keeps it with keepSessionInfo", async () => {
    const app = await serveWithPassport();
    const attacker = new Browser(app);
    await attacker.get("fill");
    const victim = attacker.clone();
    await victim.get("login?user=ann");
    expect([await attacker.body("who"), await attacker.body("read")]).toEqual([{}, {}]);
    expect(await victim.body("read")).toEqual({ passport: { user: "ann" } });
    const visitor = new Browser(app);
    await visitor.get("fill");
    await visitor.get("fill");
    await visitor.get("login?user=bob&keep");
    expect(await visitor.body("read")).toMatchObject({ cart: ["book", "book"], passport: { user: "bob" } });
  });

  test("a request that is slower than the logout does not log the user in again", async () => {
    gate = new Barrier();
    const app = await serveWithPassport();
    const browser = new Browser(app);
    await browser.get("login?user=ann");
    const slow = browser.clone();
    const answer = slow.get("slow");
    await gate.arrived;
    await browser.get("logout");
    gate.release();
    await answer;
    expect([await slow.body("who"), await app.manager.listByUser("ann")]).toEqual([{}, []]);
  });

  test("log out everywhere, by the user's id", async () => {
    const app = await serveWithPassport();
    const [first, second] = [new Browser(app), new Browser(app)];
    for (const browser of [first, second]) await browser.get("login?user=ann");
    expect(await first.body("everywhere")).toBe(1);
    expect([await first.body("who"), await second.body("who")]).toEqual([{ id: "ann" }, {}]);
  });

  test("ten logins at once under a limit of three leave three sessions", async () => {
    const app = await serveWithPassport({ managed: { sessionLimit: { max: 3, whenReached: "evictOldest" } } });
    const browsers = Array.from({ length: 10 }, () => new Browser(app));
    await Promise.all(browsers.map((browser) => browser.get("login?user=ann")));
    expect(await app.manager.listByUser("ann")).toHaveLength(3);
  });

  test("a login that the limit refuses is an error, and nobody is logged in", async () => {
    const app = await serveWithPassport({ managed: { sessionLimit: { max: 1, whenReached: "reject" } } });
    await new Browser(app).get("login?user=ann");
    const late = new Browser(app);
    await late.get("fill");
    expect((await late.get("login?user=ann")).status).toBe(500);
    expect(await late.body("who")).toEqual({});
    expect(await app.manager.listByUser("ann")).toHaveLength(1);
  });
});

test("the members of express-session's sessions, with callbacks", async () => {
  const app = await serve((server) => {
    server.get("/walk", (request, response, next) => {
      const first = sessionIn(request);
      first.views = 1;
      const steps: unknown[] = [first.id];
      first.save((saved) => {
        if (saved) return next(saved);
        steps.push(typeof first.id, first.cookie.maxAge, first.cookie.httpOnly, first.cookie.expires instanceof Date);
        first.views = 2;
        return first.reload((reloaded) => {
          if (reloaded) return next(reloaded);
          steps.push(first.views);
          return first.regenerate((regenerated) => {
            if (regenerated) return next(regenerated);
            steps.push(first.views, sessionIn(request).views, sessionIn(request) === first);
            sessionIn(request).views = 10;
            return response.json(steps);
          });
        });
      });
    });
    server.get("/destroy", (request, response, next) => {
      sessionIn(request).destroy((error) => (error ? next(error) : response.json(sessionIn(request) ?? "none")));
      expect(sessionIn(request)).toBeUndefined();
    });
  });
  const browser = new Browser(app);
  const steps = await browser.body("walk");
  expect(steps).toEqual([null, "string", expect.any(Number), true, true, 1, 1, null, false]);
  expect(await browser.body("read")).toEqual({ views: 10 });
  expect(await browser.body("destroy")).toBe("none");
  expect(await browser.body("read")).toEqual({});
});

test("what cannot work says so", async () => {
  const app = await serve((server) => {
    const attempt = (name: string, act: (session: HabitSession<Data>) => unknown): unknown =>
      server.get(`/${name}`, (request, response) => {
        try {
          act(sessionIn(request));
          response.json("done");
        } catch (error) {
          response.json(error instanceof Error ? error.message : error);
        }
      });
    attempt("cookie", (session) => Reflect.set(session.cookie, "maxAge", 1));
    attempt("id", (session) => Reflect.set(session, "id", "x"));
  });
  const browser = new Browser(app);
  expect(await browser.body("cookie")).toMatch(/^@sojourn\/express: cookie.maxAge cannot be assigned: .*persistent/);
  expect(await browser.body("id")).toBe('@sojourn/express: "id" is a member of the session, and no name for data');
  expect(() => expressSessions({ store: new MemoryStore(), sweep: false, secret, userId: passportUser })).toThrow(
    '"userId" must be a function, beside "habits: true"',
  );
});

test("connect-flash", async () => {
  const app = await serve((server) => {
    server.use(flash());
    server.get("/leave", (request, response) => {
      request.flash("info", "one");
      request.flash("info", "two");
      response.redirect("/take");
    });
    server.get("/take", (request, response) => void response.json(request.flash("info")));
  });
  const browser = new Browser(app);
  await browser.get("leave");
  expect([await browser.body("take"), await browser.body("take")]).toEqual([["one", "two"], []]);
});

test("csrf-sync", async () => {
  const { csrfSynchronisedProtection, generateToken } = csrfSync();
  const app = await serve((server) => {
    server.get("/token", (request, response) => void response.json(generateToken(request)));
    server.use(csrfSynchronisedProtection);
    server.post("/act", (_request, response) => void response.json("done"));
  });
  const browser = new Browser(app);
  const token = String(await browser.body("token"));
  const post = (value: string): Promise<{ status: number }> =>
    browser.get("act", { method: "POST", headers: { "x-csrf-token": value } });
  expect([(await post(token)).status, (await post("forged")).status]).toEqual([200, 403]);
});

test("csrf-csrf, with saveUninitialized, so that each session has an id", async () => {
  const { doubleCsrfProtection, generateCsrfToken } = doubleCsrf({
    getSecret: () => secret,
    getSessionIdentifier: (request) => sessionIn(request).id ?? "",
    cookieName: "csrf",
    cookieOptions: { secure: false },
  });
  const readCookies: RequestHandler = (request, _response, next) => {
    const pairs = (request.headers.cookie ?? "").split("; ").map((pair): [string, string] => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), decodeURIComponent(pair.slice(at + 1))];
    });
    request.cookies = Object.fromEntries(pairs);
    next();
  };
  const app = await serve(
    (server) => {
      server.use(readCookies);
      server.get("/token", (request, response) => void response.json(generateCsrfToken(request, response)));
      server.use(doubleCsrfProtection);
      server.post("/act", (_request, response) => void response.json("done"));
    },
    { saveUninitialized: true },
  );
  const browser = new Browser(app);
  const token = String(await browser.body("token"));
  const post = (value: string): Promise<{ status: number }> =>
    browser.get("act", { method: "POST", headers: { "x-csrf-token": value } });
  expect([(await post(token)).status, (await post("forged")).status]).toEqual([200, 403]);
});

test("express-rate-limit, by session", async () => {
  const app = await serve(
    (server) => {
      server.use("/limited", rateLimit({ limit: 2, keyGenerator: (request) => sessionIn(request).id ?? "none" }));
      server.get("/limited", (_request, response) => void response.json("done"));
    },
    { saveUninitialized: true },
  );
  const browser = new Browser(app);
  await browser.get("read");
  const statuses: number[] = [];
  for (let n = 0; n < 3; n++) statuses.push((await browser.get("limited")).status);
  expect(statuses).toEqual([200, 200, 429]);
  const other = new Browser(app);
  await other.get("read");
  expect((await other.get("limited")).status).toBe(200);
});

test.each(["polling", "websocket"])(
  "socket.io's io.engine.use over %s: the session of the handshake, and its changes",
  async (transport) => {
    expectNoCrash();
    const app = await serve((server) => {
      server.get("/login", (request, response) => {
        sessionIn(request).views = 1;
        response.json("ok");
      });
    });
    const browser = new Browser(app);
    await browser.get("login");
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const sockets = new Server(server);
    sockets.engine.use(app.sessions);
    sockets.on("connection", (socket) => {
      socket.on("count", (answer: (views: number | undefined) => void) => {
        const session = sessionIn(socket.request as Request);
        session.reload(() => {
          session.views = (session.views ?? 0) + 1;
          session.save(() => answer(session.views));
        });
      });
    });
    const client = io(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
      transports: [transport],
      extraHeaders: { cookie: browser.cookie },
    });
    onTestFinished(async () => {
      client.close();
      await sockets.close();
    });
    await once(client as never, "connect");
    expect(await client.emitWithAck("count")).toBe(2);
    expect(await browser.body("read")).toEqual({ views: 2 });
  },
);
