import fastifyWebsocket from "@fastify/websocket";
import { SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import Fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { fastifySessions, sessionOf } from "../src/index.js";
import { type Action, Browser, type Data, secret, serve } from "./support.js";

interface Visit {
  visits: number;
}

function managerOf<Held extends object>(): SessionManager<Held> {
  const manager = new SessionManager<Held>({ store: new MemoryStore(), sweep: false });
  onTestFinished(() => manager.close());
  return manager;
}

async function listen(app: FastifyInstance): Promise<Browser> {
  onTestFinished(() => app.close());
  return new Browser({ url: await app.listen({ port: 0, host: "127.0.0.1" }) });
}

const visit = async (request: FastifyRequest, manager: SessionManager<Visit>): Promise<number> => {
  const session = await sessionOf(request, manager);
  session.data.visits = (session.data.visits ?? 0) + 1;
  return session.data.visits;
};

describe("scopes", () => {
  test("two registrations in one scope have two sessions, with two cookies and decorators", async () => {
    const [first, second] = [managerOf<Visit>(), managerOf<Visit>()];
    const app = Fastify();
    await app.register(fastifySessions, { manager: first, secret });
    await app.register(fastifySessions, { manager: second, secret, decorator: "guest", cookie: { name: "guest" } });
    app.get("/first", (request) => visit(request, first));
    app.get("/second", (request) => visit(request, second));
    app.get("/both", async (request) => [
      (await request.getDecorator<Promise<{ data: Visit }>>("session")).data.visits,
      (await request.getDecorator<Promise<{ data: Visit }>>("guest")).data.visits,
    ]);
    const browser = await listen(app);
    for (const path of ["first", "second", "second"]) await browser.get(path);
    expect(await browser.body("both")).toEqual([1, 2]);
    expect(browser.cookie).toMatch(/^__Host-session=.+; guest=.+$/);
  });

  test("a registration applies to its scope and the scopes inside", async () => {
    const manager = managerOf<Visit>();
    const app = Fastify();
    app.register(async (inside) => {
      await inside.register(fastifySessions, { manager, secret });
      inside.get("/inside", (request) => visit(request, manager));
      inside.register(async (deeper) => deeper.get("/deeper", (request) => visit(request, manager)));
    });
    app.get("/outside", (request) => visit(request, manager));
    const browser = await listen(app);
    expect([await browser.body("inside"), await browser.body("deeper")]).toEqual([1, 2]);
    expect(await browser.get("outside")).toMatchObject({ status: 500, body: { code: "INVALID_ARGUMENT" } });
  });

  test("one manager serves browsers in one scope and clients with a header in another", async () => {
    const manager = managerOf<Visit>();
    const app = Fastify();
    app.register(async (web) => {
      await web.register(fastifySessions, { manager, secret });
      web.get("/web", (request) => visit(request, manager));
    });
    app.register(async (api) => {
      await api.register(fastifySessions, { manager, header: "authorization" });
      api.get("/api", (request) => visit(request, manager));
    });
    const browser = await listen(app);
    expect((await browser.get("web")).setCookie).toHaveLength(1);
    expect((await browser.get("api")).headers.get("session-token")).toMatch(/^[\w-]{43}$/);
  });

  const sameManager =
    "@sojourn/fastify: two registrations in one scope have the same manager, so that each would write over the other's changes: use one of them";
  test.each([
    ["the same decorator twice", { manager: () => managerOf<Visit>() }, /'session' has already been added/],
    [
      "the same manager twice",
      { manager: (manager: SessionManager<Visit>) => manager, decorator: "other" },
      sameManager,
    ],
  ])("%s in one scope is refused", async (_name, { manager, ...options }, message) => {
    const first = managerOf<Visit>();
    const app = Fastify();
    app.register(fastifySessions, { manager: first, secret });
    app.register(fastifySessions, { manager: manager(first), secret, ...options });
    await expect(app.ready()).rejects.toThrow(message);
    await app.close();
  });

  test("a route with session: false has no session", async () => {
    const app = await serve(
      { fill: (session) => Object.assign(session.data, { views: 1 }) },
      {
        routes: (server) =>
          server.get("/without", { config: { session: false } }, (request) => request.getDecorator("session")),
      },
    );
    const browser = new Browser(app);
    await browser.get("fill");
    expect(await browser.get("without")).toMatchObject({
      status: 500,
      body: { code: "NOT_SUPPORTED", message: expect.stringContaining("GET /without") },
    });
    expect(app.calls).toEqual(["create"]);
  });

  test("the server closes a manager made for a store, and not the application's own", async () => {
    const closed: string[] = [];
    const stores = ["own", "made"].map((name) => {
      const store = new MemoryStore();
      const close = store.close.bind(store);
      store.close = async () => {
        closed.push(name);
        await close();
      };
      return store;
    });
    const [own, made] = stores as [MemoryStore, MemoryStore];
    const manager = new SessionManager({ store: own });
    const app = Fastify();
    app.register(fastifySessions, { manager, secret });
    app.register(fastifySessions, { store: made, idleTimeout: "5m", secret, decorator: "made" });
    await app.close();
    expect(closed).toEqual(["made"]);
    await manager.close();
  });
});

describe("a WebSocket", () => {
  const fill: Action = (session) => Object.assign(session.data, { name: "Ann" });
  const logout: Action = (session) => session.destroy();

  async function connect(
    onMessage: (session: Awaited<ReturnType<typeof sessionOf<Data, Data>>>, text: string) => Promise<unknown>,
  ): Promise<{ browser: Browser; calls: string[]; ask: (text: string) => Promise<unknown>; sent: string[] }> {
    const fixture = await serve(
      { fill, logout },
      {
        routes: async (app, manager) => {
          await app.register(fastifyWebsocket);
          app.get("/live", { websocket: true }, (socket, request) => {
            socket.on("message", async (text) => {
              const session = await sessionOf(request, manager);
              socket.send(JSON.stringify((await onMessage(session, String(text))) ?? null));
            });
          });
        },
      },
    );
    const browser = new Browser(fixture);
    await browser.get("fill");
    const socket = new WebSocket(`${fixture.url.replace("http", "ws")}/live`, { headers: { cookie: browser.cookie } });
    const sent: string[] = [];
    socket.on("upgrade", ({ headers }) => sent.push(...(headers["set-cookie"] ?? [])));
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    onTestFinished(() => socket.terminate());
    const ask = (text: string): Promise<unknown> => {
      socket.send(text);
      return new Promise((resolve) => socket.once("message", (data) => resolve(JSON.parse(String(data)))));
    };
    return { browser, calls: fixture.calls, ask, sent };
  }

  test("reads the session of its upgrade, and finds by a reload that it has ended", async () => {
    const { browser, ask, sent } = await connect(async (session, text) =>
      text === "reload" ? [await session.reload(), session.data] : session.data,
    );
    expect(await ask("read")).toEqual({ name: "Ann" });
    expect(await ask("reload")).toEqual([true, { name: "Ann" }]);
    await browser.get("logout");
    expect(await ask("reload")).toEqual([false, {}]);
    expect(sent).toEqual([]);
  });

  test("never writes", async () => {
    const { calls, ask } = await connect(async (session) => {
      expect(() => {
        session.data.views = 1;
      }).toThrow(TypeError);
      const writes = [() => session.save(), () => session.regenerate(), () => session.destroy()];
      return Promise.all(writes.map((write) => write().catch((error: { code: string }) => error.code)));
    });
    expect(await ask("write")).toEqual(["NOT_SUPPORTED", "NOT_SUPPORTED", "NOT_SUPPORTED"]);
    expect(calls).toEqual(["create", "get"]);
  });
});
