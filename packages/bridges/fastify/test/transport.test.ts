import fastifyCookie from "@fastify/cookie";
import { SessionManager } from "@sojourn/core";
import { SessionCookie } from "@sojourn/core/bridge";
import { MemoryStore } from "@sojourn/memory";
import Fastify from "fastify";
import { describe, expect, test } from "vitest";
import { fastifySessions } from "../src/index.js";
import { type Action, Browser, secret, serve } from "./support.js";

const read: Action = (session) => session.data;
const fill: Action = (session) => {
  session.data.name = "Ann";
};
const logout: Action = (session) => session.destroy();
const login: Action = (session) => session.regenerate({ userId: "ann" });

describe("by cookie", () => {
  test.each([
    ["a changed signature", (value: string) => value.slice(0, -2)],
    ["no signature", (value: string) => value.slice(0, 43)],
    ["an empty value", () => ""],
    ["another secret", (value: string) => new SessionCookie({ secret: secret.toUpperCase() }).issue(of(value)).value],
  ])("%s never reaches the store", async (_name, change) => {
    const app = await serve({ read, fill });
    const browser = new Browser(app);
    await browser.get("fill");
    app.calls.length = 0;
    const [name, value = ""] = browser.cookie.split("=");
    const events: unknown[] = [];
    app.manager.on("security", ({ kind, source }) => events.push([kind, source]));
    const forged = new Browser(app, new Map([[name ?? "", change(value)]]));
    expect(await forged.get("read")).toMatchObject({ status: 200, body: {}, setCookie: [] });
    expect(app.calls).toEqual([]);
    expect(events).toEqual([["malformedToken", "127.0.0.1"]]);
  });

  test("a token that this server did not issue is never adopted", async () => {
    const app = await serve({ read, fill });
    const { name, value } = new SessionCookie({ secret }).issue(of("A".repeat(43)));
    const browser = new Browser(app, new Map([[name, value]]));
    const { setCookie } = await browser.get("fill");
    expect(setCookie[0]).not.toContain(value.slice(0, 43));
    expect(await browser.body("read")).toEqual({ name: "Ann" });
  });

  test("cookies signed with the previous secret are accepted after a rotation", async () => {
    const store = new MemoryStore();
    const manager = new SessionManager({ store, sweep: false });
    const cookies: string[] = [];
    for (const [index, secrets] of [[secret], ["a newer secret of at least 32 bytes!", secret]].entries()) {
      const app = Fastify();
      app.register(fastifySessions, { manager, secret: secrets });
      app.get("/", async (request) => {
        const session = await request.getDecorator<Promise<{ data: { name?: string } }>>("session");
        session.data.name ??= `of secret ${index}`;
        return session.data.name;
      });
      const answer = await app.inject({ url: "/", headers: { cookie: cookies.join() } });
      expect(answer.body).toBe("of secret 0");
      cookies.push(answer.headers["set-cookie"]?.toString().split(";")[0] ?? "");
      await app.close();
    }
    await manager.close();
  });

  test("a persistent cookie lives until the absolute deadline, and is sent once", async () => {
    const app = await serve(
      { read, fill, more: (session) => Object.assign(session.data, { views: 1 }) },
      { manager: { idleTimeout: "1h", absoluteTimeout: "30d" }, plugin: { cookie: { persistent: true } } },
    );
    const browser = new Browser(app);
    expect((await browser.get("fill")).setCookie).toEqual([expect.stringContaining("; Max-Age=2592000;")]);
    expect((await browser.get("read")).setCookie).toEqual([]);
    expect((await browser.get("more")).setCookie).toEqual([]);
  });

  test.each([
    ["nothing", undefined],
    ["public, max-age=3600", "public, max-age=3600"],
    ["private", "private"],
  ])("a response with the cookie is no-store, even if its route set cache-control to: %s", async (_name, value) => {
    const app = await serve({
      fill: (session, _request, reply) => {
        session.data.name = "Ann";
        if (value !== undefined) reply.header("cache-control", value);
      },
      read: (session, _request, reply) => {
        if (value !== undefined) reply.header("cache-control", value);
        return session.data;
      },
      logout,
    });
    const browser = new Browser(app);
    expect((await browser.get("fill")).headers.get("cache-control")).toBe("no-store");
    expect((await browser.get("read")).headers.get("cache-control")).toBe(value ?? null);
    expect((await browser.get("logout")).headers.get("cache-control")).toBe("no-store");
  });

  test.each([
    ["before", undefined],
    ["before, without its hook", false],
    ["after", undefined],
  ] as const)("@fastify/cookie beside it, registered %s, keeps its cookies", async (when, hook) => {
    const manager = new SessionManager({ store: new MemoryStore(), sweep: false });
    const app = Fastify();
    const options = { parseOptions: { domain: "example.org", maxAge: 5 }, ...(hook === undefined ? {} : { hook }) };
    if (when !== "after") await app.register(fastifyCookie, options);
    await app.register(fastifySessions, { manager, secret });
    if (when === "after") await app.register(fastifyCookie, options);
    app.get("/", async (request, reply) => {
      const session = await request.getDecorator<Promise<{ data: Record<string, unknown> }>>("session");
      session.data.name = "Ann";
      reply.setCookie("mine", "1", { path: "/" }).setCookie("other", "2");
    });
    const { headers } = await app.inject("/");
    expect([headers["set-cookie"]].flat().sort()).toEqual([
      expect.stringMatching(/^__Host-session=[^;]+; Path=\/; HttpOnly; Secure; SameSite=Lax$/),
      expect.stringMatching(/^mine=1; Max-Age=5; Domain=example.org; Path=\//),
      expect.stringMatching(/^other=2; /),
    ]);
    await app.close();
    await manager.close();
  });
});

describe("by header", () => {
  test.each([
    ["authorization", "session-token", (token: string) => `Bearer ${token}`],
    ["X-Session", "x-session", (token: string) => token],
  ])(
    "%s: the new token is answered in %s, a removal is empty, cookies are ignored",
    async (header, answered, present) => {
      const app = await serve({ read, fill, login, logout }, { plugin: { header, secret: undefined } });
      const client = new Browser(app);
      const filled = await client.get("fill");
      const token = filled.headers.get(answered) ?? "";
      expect(token).toMatch(/^[\w-]{43}$/);
      expect(filled.setCookie).toEqual([]);
      expect(filled.headers.get("cache-control")).toBe("no-store");
      const headers = { [header]: present(token) };
      expect(await client.get("read", { headers })).toMatchObject({ body: { name: "Ann" } });
      expect((await client.get("read", { headers })).headers.get(answered)).toBeNull();
      expect(await client.body("read")).toEqual({});
      const { name, value } = new SessionCookie({ secret }).issue(of(token));
      expect(await new Browser(app, new Map([[name, value]])).body("read")).toEqual({});

      const next = (await client.get("login", { headers })).headers.get(answered) ?? "";
      expect(next).not.toBe(token);
      expect(await client.get("read", { headers })).toMatchObject({ body: {} });
      const removal = await client.get("logout", { headers: { [header]: present(next) } });
      expect([removal.body, removal.headers.get(answered)]).toEqual([true, ""]);
    },
  );

  test.each(["", "Bearer", "Bearer ", "Basic abc", "bearer x y", "Bearer ../etc/passwd", `Bearer ${"A".repeat(44)}`])(
    "%j is nothing that reaches the store",
    async (authorization) => {
      const app = await serve({ read }, { plugin: { header: "authorization", secret: undefined } });
      expect(await new Browser(app).get("read", { headers: { authorization } })).toMatchObject({
        status: 200,
        body: {},
      });
      expect(app.calls).toEqual([]);
    },
  );

  test("a header is ignored when sessions use the cookie", async () => {
    const app = await serve({ read, fill });
    const browser = new Browser(app);
    await browser.get("fill");
    const token = browser.cookie.split("=")[1]?.slice(0, 43) ?? "";
    const headers = { authorization: `Bearer ${token}`, "session-token": token };
    expect(await new Browser(app).get("read", { headers })).toMatchObject({ body: {} });
  });
});

/** What a cookie is made of, for a token of the test's own. */
function of(value: string): Parameters<SessionCookie["issue"]>[0] {
  return { token: value.slice(0, 43), session: { remainingMs: 1, expiresAt: 1, endsAt: 1 } };
}
