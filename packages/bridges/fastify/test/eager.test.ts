import { SessionError } from "@sojourn/core";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { describe, expect, test } from "vitest";
import type { EagerSession } from "../src/index.js";
import { Browser, type Data, serve } from "./support.js";

const sessionOf = (request: FastifyRequest): EagerSession<Data> & Record<string, unknown> =>
  request.getDecorator("session");

function serveEager(routes: Record<string, (request: FastifyRequest) => unknown>) {
  const add = (app: FastifyInstance): void => {
    app.get("/public", { config: { session: false } }, () => "ok");
    for (const [name, route] of Object.entries(routes)) app.get(`/${name}`, async (request) => route(request));
  };
  return serve({}, { plugin: { eager: true }, routes: add });
}

describe("request.session with eager: true", () => {
  test("is the session itself, and its changes are saved", async () => {
    const app = await serveEager({
      count: (request) => {
        const { data } = sessionOf(request);
        data.views = (data.views ?? 0) + 1;
        return data.views;
      },
      login: async (request) => {
        const session = sessionOf(request);
        await session.regenerate({ userId: "ann" });
        return [session.userId, session === sessionOf(request)];
      },
    });
    const browser = new Browser(app);
    expect([await browser.body("count"), await browser.body("count")]).toEqual([1, 2]);
    expect(await browser.body("login")).toEqual(["ann", true]);
    expect(await browser.body("count")).toBe(3);
  });

  test("has the keys of the data as its own properties, and get and set", async () => {
    const app = await serveEager({
      write: (request) => {
        const session = sessionOf(request);
        session.set("views", 1);
        session.cart = ["book"];
        session.gone = true;
        delete session.gone;
        return [session.get("views"), session.cart, Object.keys(session), "cart" in session, "save" in session];
      },
      read: (request) => ({ ...sessionOf(request) }),
    });
    const browser = new Browser(app);
    expect(await browser.body("write")).toEqual([1, ["book"], ["views", "cart"], true, true]);
    expect(await browser.body("read")).toEqual({ views: 1, cart: ["book"] });
  });

  test("refuses to write over a member, and says what to write", async () => {
    const app = await serveEager({
      login: (request) => Object.assign(sessionOf(request), { userId: "ann" }),
      name: (request) => Object.assign(sessionOf(request), { id: "1" }),
    });
    const browser = new Browser(app);
    expect(await browser.get("login")).toMatchObject({
      status: 500,
      body: { message: expect.stringContaining("await request.session.regenerate({ userId })") },
    });
    expect(await browser.get("name")).toMatchObject({
      status: 500,
      body: { message: expect.stringContaining("request.session.data.id = …") },
    });
  });

  test("is not loaded in a route without a session, and answers 503 while the backend is down", async () => {
    const app = await serveEager({
      read: (request) => sessionOf(request).data,
      write: (request) => sessionOf(request).set("name", "Ann"),
    });
    const browser = new Browser(app);
    await browser.get("write");
    app.calls.length = 0;
    expect(await browser.body("public")).toBe("ok");
    expect(app.calls).toEqual([]);
    app.fault.error = new SessionError("UNAVAILABLE", "down");
    expect((await browser.get("read")).status).toBe(503);
    expect((await browser.get("public")).status).toBe(200);
  });
});

describe("request.session that is not awaited", () => {
  const misuse = (use: (session: Record<string, unknown>) => unknown) =>
    serve({}, { routes: (app) => app.get("/misuse", (request) => use(request.getDecorator("session"))) });

  test.each<[string, string, (session: Record<string, unknown>) => unknown]>([
    [
      "a login",
      "(await request.session).regenerate({ userId })",
      (session) => Object.assign(session, { userId: "ann" }),
    ],
    ["data", "(await request.session).data.cart = …", (session) => Object.assign(session, { cart: [] })],
    ["a read of the user", "(await request.session).userId", ({ userId }) => userId],
    ["a read of the data", "(await request.session).data", ({ data }) => data],
    ["a plugin that needs eager", 'set the option "eager"', ({ get }) => get],
  ])("refuses %s, and says what to write", async (_title, instead, use) => {
    const browser = new Browser(await misuse(use));
    expect(await browser.get("misuse")).toMatchObject({
      status: 500,
      body: { message: expect.stringContaining(instead) },
    });
  });

  test("is a promise in all other respects", async () => {
    const app = await serve(
      {},
      {
        routes: (app) =>
          app.get("/promise", async (request) => {
            const opening: Promise<object> = request.getDecorator("session");
            const all = await Promise.all([opening, opening.then((session) => session), opening.finally(() => {})]);
            return [opening instanceof Promise, all.every((session) => session === all[0]), String(opening)];
          }),
      },
    );
    expect(await new Browser(app).body("promise")).toEqual([true, true, "[object Promise]"]);
  });
});
