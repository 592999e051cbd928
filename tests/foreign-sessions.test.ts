import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tokenToId } from "@sojourn/core";
import { ForeignSessions } from "@sojourn/core/bridge";
import { MemoryStore } from "@sojourn/memory";
import { Browser } from "@sojourn/test-fixtures";
import Koa, { type Context, type Middleware } from "koa";
import { createSession } from "koa-session";
import { describe, expect, onTestFinished, test } from "vitest";

/* koa-session and koa-generic-session, each with a store of its own kind and with the recipes of docs/bridges.md. */

interface Data {
  user?: string;
  cart?: string;
  theme?: string;
}

/** A store by session id, as both packages take it. koa-session passes the context last, koa-generic-session the lifetime. */
interface Store {
  get(sid: string, maxAge: unknown, options: { readonly ctx: Context }): unknown;
  set(sid: string, data: Data, maxAge: number | "session", options: { readonly ctx: Context }): unknown;
  destroy(sid: string): unknown;
}

interface Framework {
  /** The store of the framework's documentation, or its own memory store. */
  ownStore(): Store;
  /** The recipe. */
  ourStore(sessions: ForeignSessions<Data>): Store;
  use(app: Koa, store: Store): void;
  regenerate(ctx: Context): Promise<void>;
}

// It has no types of its own.
const genericSession = createRequire(import.meta.url)("koa-generic-session") as {
  (options: { readonly store: Store; readonly cookie: { readonly signed: boolean } }): Middleware;
  readonly MemoryStore: new () => Store;
};
const requests = new AsyncLocalStorage<Context>();

const frameworks: Record<string, Framework> = {
  "koa-session": {
    ownStore() {
      const sessions = new Map<string, Data>();
      return {
        get: async (sid) => sessions.get(sid),
        set: async (sid, data) => void sessions.set(sid, data),
        destroy: async (sid) => void sessions.delete(sid),
      };
    },
    ourStore: (sessions) => ({
      get: (sid, _maxAge, { ctx }) => sessions.load(sid, ctx),
      set: (sid, data, maxAge, { ctx }) => sessions.save(sid, data, ctx, maxAge === "session" ? undefined : maxAge),
      destroy: (sid) => sessions.destroy(sid),
    }),
    // The types of its options ask for all of them.
    use: (app, store) => void app.use(createSession({ store, signed: false } as never, app)),
    regenerate: (ctx) => ctx.session.regenerate(),
  },
  "koa-generic-session": {
    ownStore: () => new genericSession.MemoryStore(),
    ourStore: (sessions) => ({
      get: (sid) => sessions.load(sid, requests.getStore()),
      set: (sid, data, maxAge) => sessions.save(sid, data, requests.getStore(), Number(maxAge)),
      destroy: (sid) => sessions.destroy(sid),
    }),
    use(app, store) {
      app.use((ctx, next) => requests.run(ctx, next));
      app.use(genericSession({ store, cookie: { signed: false } }));
    },
    regenerate: (ctx) => ctx.regenerateSession(),
  },
};

const actions: Record<string, (ctx: Context, framework: Framework) => unknown> = {
  async login(ctx, framework) {
    await framework.regenerate(ctx);
    ctx.session.user = "ann";
  },
  cart({ session }) {
    session.cart = "book";
  },
  theme({ session }) {
    session.theme = "dark";
  },
  read: ({ session: { user, cart, theme } }) => ({ user, cart, theme }),
  logout(ctx) {
    ctx.session = null;
  },
};

interface Served {
  readonly browser: Browser;
  /** Sends a request. When it has loaded its session, runs `meanwhile`, and then lets the request go on. */
  slowly(path: string, meanwhile: () => Promise<unknown>): Promise<void>;
}

async function serve(framework: Framework, store: Store): Promise<Served> {
  const app = new Koa();
  app.silent = true;
  framework.use(app, store);
  let hold: (() => Promise<unknown>) | undefined;
  app.use(async (ctx) => {
    void ctx.session;
    const meanwhile = hold;
    hold = undefined;
    await meanwhile?.();
    ctx.body = (await actions[ctx.path.slice(1)]?.(ctx, framework)) ?? {};
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const browser = new Browser({ url });
  return {
    browser,
    async slowly(path, meanwhile) {
      hold = meanwhile;
      await new Browser({ url }, browser.cookie).get(path);
    },
  };
}

function open(): ForeignSessions<Data> {
  const sessions = new ForeignSessions<Data>({ store: new MemoryStore(), userId: ({ user }) => user });
  onTestFinished(() => sessions.manager.close());
  return sessions;
}

describe.each(Object.entries(frameworks))("%s", (_name, framework) => {
  const serveWith = (isOurs: boolean) => serve(framework, isOurs ? framework.ourStore(open()) : framework.ownStore());
  // The memory store of koa-generic-session gives all requests one object: keys cannot get lost, and nothing is isolated.
  const sharesObjects = framework.ownStore() instanceof genericSession.MemoryStore;

  test.each([
    ["its own store", false, { user: "ann", cart: "book", ...(sharesObjects && { theme: "dark" }) }],
    ["ours keeps both", true, { user: "ann", cart: "book", theme: "dark" }],
  ])("two requests set different keys at once: %s", async (_title, isOurs, expected) => {
    const { browser, slowly } = await serveWith(isOurs);
    await browser.get("login");
    await slowly("cart", () => browser.get("theme"));
    expect(await browser.get("read")).toEqual(expected);
  });

  test.each([
    ["its own store logs the user in again", false, { user: "ann", cart: "book" }],
    ["with ours the session stays ended", true, {}],
  ])("a late save after a logout: %s", async (_title, isOurs, expected) => {
    const { browser, slowly } = await serveWith(isOurs);
    await browser.get("login");
    const { cookie } = browser;
    await slowly("cart", () => browser.get("logout"));
    browser.cookie = cookie;
    expect(await browser.get("read")).toEqual(expected);
  });

  test("a login ends the visitor's session, its user is indexed, and the stored id is a hash", async () => {
    const sessions = open();
    const { browser } = await serve(framework, framework.ourStore(sessions));
    await browser.get("cart");
    const visitor = browser.cookie;
    await browser.get("login");
    expect(await browser.get("read")).toMatchObject({ user: "ann" });
    const [session, ...others] = await sessions.manager.listByUser("ann");
    expect(others).toEqual([]);
    const sid = decodeURIComponent(browser.cookie?.split("=")[1] ?? "");
    expect([tokenToId(sid), tokenToId(`koa:sess:${sid}`)]).toContain(session?.id);
    expect(session?.remainingMs).toBeGreaterThan(23 * 3_600_000);
    browser.cookie = visitor;
    expect(await browser.get("read")).toEqual({});
    expect(await sessions.manager.destroyByUser("ann")).toEqual([session?.id]);
  });
});
