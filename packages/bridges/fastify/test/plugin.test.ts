import { MemoryStore } from "@sojourn/memory";
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
  test("is stored when data is first put into it, and written when the data changes", async () => {
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

  test("causes no store call in a route that does not ask for it", async () => {
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

  test("has ended after the logout, and its cookie is removed with the same attributes", async () => {
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

describe("re-authentication", () => {
  const prove: Action = async (session) => {
    await session.regenerate({ userId: "ann", authenticated: true });
    return session.isFresh("1m");
  };
  const isFresh: Action = (session) => [session.isFresh("1m"), session.authenticatedAt !== undefined];

  test("is recorded by a login, with or without an earlier session, and the next request sees it", async () => {
    for (const before of ["count", "isFresh"]) {
      const app = await serve({ count, prove, isFresh });
      const browser = new Browser(app);
      await browser.get(before);
      expect(await browser.body("isFresh")).toEqual([false, false]);
      expect(await browser.body("prove")).toBe(true);
      expect(await browser.body("isFresh")).toEqual([true, true]);
    }
  });
});

test("under onUnreadable: missing, an unreadable session is a new one for its request, and stays stored", async () => {
  const store = new MemoryStore();
  const later = await serve({ count }, { manager: { store, schemaVersion: 2 } });
  const browser = new Browser(later);
  await browser.get("count");
  // A rollback: the release before meets what the later one has stored.
  const rolledBack = await serve({ count, read }, { manager: { store, onUnreadable: "missing" } });
  const failing = await serve({ read }, { manager: { store } });
  expect(await browser.clone(failing).get("read")).toMatchObject({ status: 500 });
  const visitor = browser.clone(rolledBack);
  expect(await visitor.body("read")).toEqual({});
  expect(await visitor.body("count")).toBe(1);
  expect(await visitor.body("count")).toBe(2);
  expect(await browser.body("count")).toBe(2);
});
