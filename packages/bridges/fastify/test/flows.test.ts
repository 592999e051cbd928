import { setTimeout as delay } from "node:timers/promises";
import { Barrier } from "@sojourn/test-fixtures";
import { describe, expect, test } from "vitest";
import { type Action, Browser, serve } from "./support.js";

const read: Action = (session) => session.data;
const fill: Action = (session) => {
  session.data.cart = ["book"];
  session.data.name = "Ann";
};
const login: Action = (session) => session.regenerate({ userId: "ann" });
const logout: Action = (session) => session.destroy();

describe("data", () => {
  test("changes by its keys and in place, in each request", async () => {
    const app = await serve({
      read,
      push: (session) => {
        // biome-ignore lint/suspicious/noAssignInExpressions: the idiom that must work
        (session.data.cart ??= []).push("book");
        session.data.cart.push("pen");
      },
      remove: (session) => {
        delete session.data.cart;
      },
    });
    const browser = new Browser(app);
    for (const _request of [1, 2, 3]) expect((await browser.get("push")).status).toBe(200);
    expect(await browser.body("read")).toEqual({ cart: ["book", "pen", "book", "pen", "book", "pen"] });
    await browser.get("remove");
    expect(await browser.body("read")).toEqual({});
  });

  test("that is assigned the same value is not written", async () => {
    const app = await serve({
      fill,
      same: (session) => {
        session.data.cart = ["book"];
        session.data.views = undefined;
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    app.calls.length = 0;
    await browser.get("same");
    expect(app.calls).toEqual(["get"]);
  });

  test("has no inherited members", async () => {
    const app = await serve({
      read,
      pollute: (session) => {
        const data: Record<string, unknown> = session.data;
        const accessor = "__proto__";
        expect(data[accessor]).toBeUndefined();
        expect(data.constructor).toBeUndefined();
        data[accessor] = { polluted: true };
        Object.assign(data, { constructor: { prototype: { polluted: true } } });
        data.name = "Ann";
      },
    });
    const browser = new Browser(app);
    expect((await browser.get("pollute")).status).toBe(200);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(await browser.body("read")).toEqual({ name: "Ann" });
  });

  test("that is not JSON makes the request fail, and the stored data is unchanged", async () => {
    const app = await serve({
      fill,
      read,
      bad: (session) => {
        Object.assign(session.data, { name: "Bob", views: 1n });
        return "answered";
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    expect(await browser.get("bad")).toMatchObject({
      status: 500,
      body: { message: /cannot be encoded: Do not know how to serialize a BigInt/ },
    });
    expect(await browser.body("read")).toEqual({ cart: ["book"], name: "Ann" });
  });
});

describe("save", () => {
  test("stores at once; later changes are stored at the end of the request", async () => {
    const app = await serve({
      read,
      twice: async (session) => {
        const cart: string[] = ["book"];
        session.data.cart = cart;
        expect(session.isNew).toBe(true);
        expect(await session.save()).toBe(true);
        expect(session.isNew).toBe(false);
        cart.push("pen");
        session.data.views = 2;
      },
    });
    const browser = new Browser(app);
    expect((await browser.get("twice")).setCookie).toHaveLength(1);
    expect(app.calls).toEqual(["create", "update"]);
    expect(await browser.body("read")).toEqual({ cart: ["book", "pen"], views: 2 });
  });

  test("that the handler does not await is awaited before the reply, and runs once", async () => {
    const app = await serve({
      read,
      careless: (session) => {
        session.data.views = 1;
        void session.save();
        void session.save();
        return "done";
      },
    });
    const browser = new Browser(app);
    expect((await browser.get("careless")).setCookie).toHaveLength(1);
    expect(app.calls).toEqual(["create"]);
    expect(await browser.body("read")).toEqual({ views: 1 });
  });

  test("of an empty session runs when the application calls it, or with saveUninitialized", async () => {
    const app = await serve({ read, save: (session) => session.save() });
    expect((await new Browser(app).get("read")).setCookie).toEqual([]);
    expect((await new Browser(app).get("save")).setCookie).toHaveLength(1);
    const eager = await serve(
      { read },
      { plugin: { saveUninitialized: true }, routes: (server) => server.get("/untouched", () => "ok") },
    );
    expect((await new Browser(eager).get("read")).setCookie).toHaveLength(1);
    expect((await new Browser(eager).get("untouched")).setCookie).toEqual([]);
  });
});

describe("update", () => {
  test("loses none of many concurrent updates, and includes the request's own changes", async () => {
    const app = await serve({
      fill,
      read,
      add: async (session) => {
        session.data.name = "Bob";
        await session.update((data) => ({ ...data, views: (data.views ?? 0) + 1 }));
        return session.data.views;
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    await Promise.all(Array.from({ length: 20 }, () => browser.clone().get("add")));
    expect(await browser.body("read")).toEqual({ cart: ["book"], name: "Bob", views: 20 });
  });

  test("of a new session stores it", async () => {
    const app = await serve({
      read,
      add: async (session) => {
        session.data.name = "Bob";
        await session.update((data) => ({ ...data, views: 1 }));
        return session.data;
      },
    });
    const browser = new Browser(app);
    expect(await browser.body("add")).toEqual({ name: "Bob", views: 1 });
    expect(app.calls).toEqual(["create"]);
    expect(await browser.body("read")).toEqual({ name: "Bob", views: 1 });
  });
});

describe("regenerate", () => {
  test.each<[string, Parameters<Parameters<Action>[0]["regenerate"]>[0], object]>([
    ["keeps the data", {}, { cart: ["book"], name: "Eve" }],
    ["keeps some of it", { keep: ["cart"] }, { cart: ["book"] }],
    ["keeps nothing", { keep: false }, {}],
  ])("%s, and includes the changes before and after it", async (_name, input, kept) => {
    const app = await serve({
      fill,
      read,
      login: async (session) => {
        session.data.name = "Eve";
        await session.regenerate({ ...input, userId: "ann" });
        session.data.views = 1;
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    const before = browser.clone();
    expect((await browser.get("login")).setCookie).toHaveLength(1);
    expect(await browser.body("read")).toEqual({ ...kept, views: 1 });
    expect(await before.body("read")).toEqual({});
    const [session] = await app.manager.listByUser("ann");
    expect(session?.data).toEqual({ ...kept, views: 1 });
  });

  test("of a new session stores it with its user", async () => {
    const app = await serve({ read, login });
    const browser = new Browser(app);
    expect(await browser.get("login")).toMatchObject({ body: true });
    expect(app.calls).toEqual(["create"]);
    expect(await app.manager.listByUser("ann")).toHaveLength(1);
  });

  test("keeps a change made while it runs", async () => {
    const app = await serve({
      fill,
      read,
      login: async (session) => {
        const done = session.regenerate({ userId: "ann" });
        session.data.views = 7;
        await done;
        return session.data;
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    const data = { cart: ["book"], name: "Ann", views: 7 };
    expect(await browser.body("login")).toEqual(data);
    expect(await browser.body("read")).toEqual(data);
  });

  test("sets authenticatedAt if authenticated is true", async () => {
    const app = await serve({
      fresh: (session) => session.stored?.isFresh("1m") ?? null,
      login: (session) => session.regenerate({ userId: "ann", authenticated: true }),
      again: (session) => session.regenerate({ authenticated: true }),
      stale: (session) => session.regenerate({ userId: "bob" }),
    });
    const browser = new Browser(app);
    const answers = [];
    for (const path of ["login", "fresh", "stale", "fresh", "again", "fresh"]) answers.push(await browser.body(path));
    expect(answers).toEqual([true, true, true, false, true, true]);
  });

  test("of an ended session begins a new one at a login, without the old data, and else returns false", async () => {
    const barriers = { login: new Barrier(), raise: new Barrier() };
    const app = await serve({
      fill,
      read,
      logout,
      login: async (session) => {
        await barriers.login.wait();
        session.data.views = 1;
        return session.regenerate({ userId: "ann" });
      },
      raise: async (session) => {
        await barriers.raise.wait();
        return [await session.regenerate(), session.hasEnded];
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    const [first, second] = [browser.clone(), browser.clone()];
    const late = [first.get("login"), second.get("raise")];
    await Promise.all(Object.values(barriers).map(({ arrived }) => arrived));
    await browser.get("logout");
    for (const { release } of Object.values(barriers)) release();
    const [loggedIn, raised] = await Promise.all(late);
    expect(loggedIn).toMatchObject({ body: true, setCookie: [expect.any(String)] });
    expect(await first.body("read")).toEqual({ views: 1 });
    expect(raised).toMatchObject({ body: [false, true], setCookie: [] });
  });

  test("that the session limit refuses leaves the session and its token unchanged", async () => {
    const app = await serve(
      {
        fill,
        read,
        login: async (session) => {
          try {
            return await session.regenerate({ userId: "ann" });
          } catch (error) {
            return (error as { code: string }).code;
          }
        },
      },
      { manager: { sessionLimit: { max: 1, whenReached: "reject" } } },
    );
    await new Browser(app).get("login");
    const browser = new Browser(app);
    await browser.get("fill");
    expect(await browser.get("login")).toMatchObject({ body: "LIMIT_REACHED", setCookie: [] });
    expect(await browser.body("read")).toEqual({ cart: ["book"], name: "Ann" });
  });
});

describe("destroy", () => {
  test("ends the session: its data can be neither read nor written afterwards", async () => {
    const app = await serve({
      fill,
      read,
      logout: async (session) => {
        const { data } = session;
        const ended = await session.destroy();
        expect(() => {
          data.views = 1;
        }).toThrow(TypeError);
        expect(() => session.flash("info", "bye")).toThrow(TypeError);
        const saved = [await session.save(), await session.update(() => ({}) as never), await session.reload()];
        return [
          ended,
          session.data,
          session.id ?? null,
          session.hasEnded,
          session.isNew,
          saved,
          await session.destroy(),
        ];
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    const before = browser.clone();
    expect(await browser.body("logout")).toEqual([true, {}, null, true, false, [false, false, false], false]);
    expect(browser.cookie).toBe("");
    expect(await before.body("read")).toEqual({});
  });

  test("followed by a login in the same request leaves a new session", async () => {
    const app = await serve({
      fill,
      read,
      change: async (session) => {
        await session.destroy();
        await session.regenerate({ userId: "bob" });
        session.data.name = "Bob";
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    expect((await browser.get("change")).setCookie).toHaveLength(1);
    expect(await browser.body("read")).toEqual({ name: "Bob" });
  });

  test("the cookie of an unknown token is not removed, because a concurrent login may be replacing it", async () => {
    const app = await serve({ fill, read, login });
    const browser = new Browser(app);
    await browser.get("fill");
    const inFlight = browser.clone();
    await browser.get("login");
    expect((await inFlight.get("read")).setCookie).toEqual([]);
  });
});

describe("reload", () => {
  test("drops the request's changes, and reads those of other requests", async () => {
    const barrier = new Barrier();
    const app = await serve({
      fill,
      other: (session) => {
        session.data.name = "Bob";
      },
      reload: async (session) => {
        session.data.cart = [];
        await barrier.wait();
        return [await session.reload(), session.data];
      },
    });
    const browser = new Browser(app);
    await browser.get("fill");
    const slow = browser.clone().get("reload");
    await barrier.arrived;
    await browser.get("other");
    barrier.release();
    expect((await slow).body).toEqual([true, { cart: ["book"], name: "Bob" }]);
  });
});

describe("flash messages", () => {
  test("wait for the next request that asks, by kind", async () => {
    const app = await serve({
      read,
      leave: (session, _request, reply) => {
        session.flash("info", "saved");
        session.flash("info", "twice");
        session.flash("error", "but");
        return reply.redirect("/take");
      },
      take: (session) => [session.flash("info"), session.flash("info"), session.flash("none")],
    });
    const browser = new Browser(app);
    expect((await browser.get("leave")).status).toBe(302);
    expect(await browser.body("take")).toEqual([["saved", "twice"], [], []]);
    expect(await browser.body("take")).toEqual([[], [], []]);
    expect(await browser.body("read")).toEqual({ flash: { error: ["but"] } });
  });
});

describe("a user's sessions", () => {
  const mine: Action = async (session) =>
    (await session.listMine()).map(({ current, metadata }) => [current, metadata.ip]);

  test("are listed with the current one marked, and only their own user can end them", async () => {
    const app = await serve(
      {
        login,
        mine,
        ids: async (session) => (await session.listMine()).map(({ id }) => id),
        end: async (session, request) => session.destroyMine((request.query as { id: string }).id),
        others: (session) => session.destroyOthers(),
        stranger: (session) => session.regenerate({ userId: "bob" }),
      },
      { plugin: { metadata: (request) => ({ ip: request.ip }) } },
    );
    const [here, there, third, stranger] = [new Browser(app), new Browser(app), new Browser(app), new Browser(app)];
    expect(await here.body("mine")).toEqual([]);
    expect(await here.body("others")).toEqual([]);
    for (const browser of [here, there, third]) {
      await browser.get("login");
      // Lists go by the millisecond of creation.
      await delay(2);
    }
    await stranger.get("stranger");
    expect(await there.body("mine")).toEqual([
      [false, "127.0.0.1"],
      [true, "127.0.0.1"],
      [false, "127.0.0.1"],
    ]);
    const [first, second] = (await there.body("ids")) as [string, string];
    expect(await stranger.body(`end?id=${first}`)).toBe(false);
    expect(await there.body(`end?id=${first}`)).toBe(true);
    expect(await there.body("others")).toHaveLength(1);
    expect(await there.body("mine")).toEqual([[true, "127.0.0.1"]]);
    expect((await there.get(`end?id=${second}`)).setCookie).toEqual([expect.stringContaining("Max-Age=0")]);
    expect(await app.manager.listByUser("ann")).toEqual([]);
    expect(await stranger.body("mine")).toHaveLength(1);
  });
});

test("a session bound to its client is not found by another client", async () => {
  const app = await serve(
    { fill, login, read },
    { manager: { binding: { userAgent: true, onMismatch: "reject" }, regenerationGrace: "10s" } },
  );
  const security: string[] = [];
  app.manager.on("security", ({ kind, source }) => security.push(`${kind} ${source}`));
  const browser = new Browser(app);
  const readAs = async (userAgent: string): Promise<unknown> => {
    const headers = { cookie: browser.cookie, "user-agent": userAgent };
    return (await fetch(`${app.url}/read`, { headers })).json();
  };
  for (const step of ["fill", "login"]) {
    await browser.get(step);
    expect(await readAs("node")).toMatchObject({ name: "Ann" });
    expect(await readAs("curl")).toEqual({});
  }
  // One for each session: the login has made another one of it.
  expect(security).toEqual(["bindingMismatch 127.0.0.1", "bindingMismatch 127.0.0.1"]);
});
