import { describe, expect, test } from "vitest";
import { type Action, Browser, serve } from "./support.js";

const count: Action = (session) => {
  session.data.views = (session.data.views ?? 0) + 1;
  return session.data.views;
};
const read: Action = (session) => session.data;
const login: Action = async (session) => {
  await session.regenerate({ userId: "ann" });
  return session.userId ?? null;
};
const logout: Action = (session) => session.destroy();

describe("a session", () => {
  test("is stored when it first holds something, and written when it has changed", async () => {
    const app = await serve({ count, read });
    const browser = new Browser(app);
    expect(await browser.get("read")).toMatchObject({ status: 200, body: {}, setCookie: [] });
    expect(app.calls).toEqual([]);
    const { setCookie, headers } = await browser.get("count");
    expect(setCookie).toEqual([
      expect.stringMatching(/^__Host-session=.{87}; Path=\/; HttpOnly; Secure; SameSite=Lax$/),
    ]);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(app.calls).toEqual(["create"]);
    expect(await browser.get("count")).toMatchObject({ body: 2, setCookie: [] });
    expect(await browser.get("read")).toMatchObject({ body: { views: 2 }, setCookie: [] });
    expect(app.calls).toEqual(["create", "get", "update", "get"]);
  });

  test("costs a route that does not ask for it nothing", async () => {
    const app = await serve({ count }, { routes: (app) => app.get("/health", () => "ok") });
    const browser = new Browser(app);
    await browser.get("count");
    app.calls.length = 0;
    expect(await browser.get("health")).toMatchObject({ status: 200, body: "ok", setCookie: [] });
    expect(app.calls).toEqual([]);
  });

  test("is loaded once, however often it is asked for", async () => {
    const app = await serve(
      { count },
      {
        routes: (app) =>
          app.get("/twice", async (request) => {
            const [first, second] = await Promise.all([
              request.getDecorator("session"),
              request.getDecorator("session"),
            ]);
            return first === second;
          }),
      },
    );
    const browser = new Browser(app);
    await browser.get("count");
    expect(await browser.body("twice")).toBe(true);
    expect(app.calls).toEqual(["create", "get"]);
  });

  test("gets a new token at the login, keeps its data, and the old token is dead", async () => {
    const app = await serve({ count, read, login });
    const browser = new Browser(app);
    await browser.get("count");
    const before = browser.clone();
    expect(await browser.body("login")).toBe("ann");
    expect(await browser.body("read")).toEqual({ views: 1 });
    expect(await before.body("read")).toEqual({});
    expect(await app.manager.listByUser("ann")).toHaveLength(1);
  });

  test("is over after the logout, and its cookie is taken back with the same attributes", async () => {
    const app = await serve({ count, read, logout });
    const browser = new Browser(app);
    await browser.get("count");
    const before = browser.clone();
    expect(await browser.get("logout")).toMatchObject({
      body: true,
      setCookie: [
        "__Host-session=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax",
      ],
    });
    expect(await before.body("read")).toEqual({});
  });
});
