import { readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";
import { setTimeout as delay } from "node:timers/promises";
import type fastifySession from "@fastify/session";
import { SessionError, SessionManager, tokenToId } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { Barrier, Browser, overriding } from "@sojourn/test-fixtures";
import type { Session } from "fastify";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { FastifySessionStore } from "../src/index.js";
import { type Action, day, hour, minute, serve, setUp } from "./session-store-support.js";

// What applications in plain JavaScript pass.
const as = (value: unknown) => value as never;

const set =
  (data: object): Action =>
  (request) =>
    void Object.assign(request.session, data);
const none: Action = () => null;
const look: Action = (request) => request.session;
const sid: Action = (request) => request.session.sessionId;
const regenerate: Action = (request) => request.session.regenerate();

/** One request that does one thing after the other; a few milliseconds in between, which a touch needs to matter. */
const all =
  (...actions: Action[]): Action =>
  async (request) => {
    for (const action of actions) {
      await action(request);
      await delay(5);
    }
  };

/** A session as an application writes it, with a cookie that lives for `maxAge`. */
function plain(data: object, maxAge: number = hour): Session {
  const cookie = { originalMaxAge: maxAge, expires: new Date(Date.now() + maxAge), path: "/" };
  // What other tests say that sessions hold is not in it.
  return { ...data, cookie } as Session;
}

function expiresIn(session: Session | null): number {
  return (session?.cookie.expires?.getTime() ?? Number.NaN) - Date.now();
}

describe("backend calls", () => {
  interface Flow {
    readonly name: string;
    readonly requests: Action[];
    /** `|` between requests. */
    readonly calls: string | RegExp;
    readonly options?: Parameters<typeof serve>[2];
  }
  const flows: Flow[] = [
    { name: "untouched, no cookie", requests: [none], calls: "create" },
    {
      name: "untouched, no cookie, saveUninitialized: false",
      requests: [none],
      calls: "",
      options: { saveUninitialized: false },
    },
    { name: "set once, read later", requests: [set({ a: 1 }), none, none], calls: "create | get+touch | get+touch" },
    { name: "rolling: false", requests: [set({ a: 1 }), none], calls: "create | get", options: { rolling: false } },
    { name: "changed each time", requests: [set({ a: 1 }), set({ a: 2 })], calls: "create | get+update" },
    { name: "new, save then end", requests: [all(set({ a: 1 }), (r) => r.session.save())], calls: "create" },
    {
      name: "existing, save then more changes",
      requests: [set({ a: 1 }), all(set({ a: 2 }), (r) => r.session.save(), set({ a: 3 }))],
      calls: "create | get+update+update",
    },
    {
      name: "regenerate, assign",
      requests: [set({ a: 1 }), all(regenerate, set({ b: 1 }))],
      calls: "create | get+destroy+create+update",
    },
    {
      name: "regenerate with keys",
      requests: [set({ a: 1 }), (request) => request.session.regenerate(["a"])],
      // The save at the end changes nothing, and touches where a millisecond has passed since the other one.
      calls: /^create \| get\+destroy\+create(\+touch)?$/,
    },
    { name: "destroy", requests: [set({ a: 1 }), (r) => r.session.destroy()], calls: "create | get+destroy" },
    {
      name: "save without waiting, then destroy",
      requests: [
        (request) => {
          request.session.save(() => {});
          return request.session.destroy();
        },
      ],
      calls: "create+destroy",
    },
    {
      name: "reload drops what was not saved",
      requests: [set({ a: 1 }), all(set({ b: 1 }), (r) => r.session.reload())],
      calls: "create | get+get+touch",
    },
    {
      name: "only the cookie's lifetime changed",
      requests: [set({ a: 1 }), (request) => void Object.assign(request.session.cookie, { maxAge: 5 * minute })],
      calls: "create | get+update",
    },
  ];

  test.each(flows)("$name: $calls", async ({ requests, calls, options }) => {
    const { store, calls: made } = setUp({ touchAfter: 0 });
    const actions = Object.fromEntries(requests.map((action, index) => [`request${index}`, action]));
    await using app = await serve(store, actions, { cookie: { maxAge: minute }, ...options });
    const browser = new Browser(app);
    const log: string[] = [];
    for (const name of Object.keys(actions)) {
      made.length = 0;
      await browser.get(name);
      log.push(made.join("+"));
      await delay(5);
    }
    expect(log.join(" | ")).toEqual(typeof calls === "string" ? calls : expect.stringMatching(calls));
    expect(app.errors).toEqual([]);
    await store.manager.close();
  });
});

describe("callbacks", () => {
  test("are called once, asynchronously, with the result of the promise; a miss is null", async () => {
    const { store } = setUp();
    const calls: unknown[][] = [];
    const note =
      (name: string) =>
      (...args: unknown[]): void => {
        calls.push([name, ...args]);
      };
    await store.set("s", plain({ a: 1 }), note("set"));
    const got = await store.get("s", note("get"));
    await store.destroy("s", note("destroy"));
    const pending = store.get("s", note("miss"));
    expect(calls.at(-1)?.[0]).not.toBe("miss");
    await pending;
    await new Promise(setImmediate);
    expect(calls).toEqual([
      ["set", null, undefined],
      ["get", null, got],
      ["destroy", null, undefined],
      ["miss", null, null],
    ]);
    expect(got).toMatchObject({ a: 1, cookie: { originalMaxAge: hour, expires: expect.any(Date) } });
  });

  test.each([[{ $ne: "" }], [["s"]], [1], [undefined], [""], ["s\0"], ["s".repeat(10_000)]])(
    "the session id %j is a miss that never reaches the store; set refuses it",
    async (id) => {
      const { store, calls } = setUp();
      calls.length = 0;
      expect(await store.get(as(id))).toBeNull();
      await expect(store.destroy(as(id))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      await expect(store.set(as(id), plain({}))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(calls).toEqual([]);
    },
  );

  test.each<[string, unknown]>([
    ["null", null],
    ["nothing", undefined],
    ["text", "text"],
    ["a BigInt", { n: 1n }],
  ])("a session that is %s is ENCODE", async (_name, session) => {
    const { store } = setUp();
    await expect(store.set("s", as(session))).rejects.toMatchObject({ code: "ENCODE" });
  });
});

describe("a request's session", () => {
  test("is saved as it is at the time of the call", async () => {
    const { store } = setUp();
    await using app = await serve(store, {
      save: async (request) => {
        request.session.a = { deep: 1 };
        const saved = request.session.save();
        Object.assign(request.session.a as object, { deep: 2 });
        await saved;
        return store.get(request.session.sessionId);
      },
    });
    expect(await new Browser(app).get("save")).toMatchObject({ a: { deep: 1 } });
  });

  test("that is an object of the application creates the session, or replaces its data", async () => {
    const { store } = setUp();
    await store.set("s", plain({ a: 1, b: 1 }));
    await store.set("s", plain({ a: 2 }));
    const got = await store.get("s");
    expect(got).toMatchObject({ a: 2 });
    expect(got).not.toHaveProperty("b");
  });

  test("that the store loaded is merged, also if its object is a copy", async () => {
    const { store } = setUp();
    await store.set("s", plain({ a: 1 }));
    const [one, two] = [await store.get("s"), await store.get("s")];
    await store.set("s", { ...one, a: 2 });
    await store.set("s", { ...two, b: 2 });
    expect(await store.get("s")).toMatchObject({ a: 2, b: 2 });
    await store.destroy("s");
    await store.set("s", { ...two, b: 3 });
    expect(await store.get("s")).toBeNull();
  });

  test("has metadata and a user, and its session id is not stored", async () => {
    const { store } = setUp({
      userId: ({ account }) => account,
      metadata: ({ ip, headers }) => ({ ip, userAgent: headers["user-agent"] }),
    });
    await using app = await serve(store, { login: all(regenerate, set({ account: "u1" })), sid });
    const [laptop, phone] = [new Browser(app), new Browser(app)];
    await laptop.get("login");
    await phone.get("login");
    const ids = [tokenToId(String(await laptop.get("sid"))), tokenToId(String(await phone.get("sid")))];
    const sessions = await store.listByUser("u1");
    expect(sessions.map(({ id }) => id)).toEqual(ids);
    expect(sessions[0]?.metadata).toEqual({ ip: "127.0.0.1", userAgent: "node" });
    const except = String(await phone.get("sid"));
    expect(await store.destroyByUser("u1", { except })).toEqual([ids[0]]);
    await expect(store.destroyByUser("u1", { except: "" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await store.listByUser("u1")).toHaveLength(1);
  });

  test("is not revived by a reload after a regenerate when another request has ended it", async () => {
    const { store, conflicts } = setUp();
    await using app = await serve(store, {
      set: set({ a: 1 }),
      // The second id was never loaded, but made in this request.
      late: async (request) => {
        await request.session.regenerate();
        const id = request.session.sessionId;
        await store.destroy(id);
        await request.session.reload();
        request.session.late = 1;
        return id;
      },
    });
    const browser = new Browser(app);
    await browser.get("set");
    expect(await store.get(String(await browser.get("late")))).toBeNull();
    expect(conflicts).toEqual(["ended"]);
    expect(app.errors).toEqual([]);
  });
});

describe("a reload that fails", () => {
  function failing(): { store: FastifySessionStore; broken: { now: boolean } } {
    const broken = { now: false };
    const memory = overriding(new MemoryStore(), (method, original) => (...args) => {
      return broken.now && method === "get"
        ? Promise.reject(new SessionError("UNAVAILABLE", "the backend is down"))
        : original(...args);
    });
    return { store: new FastifySessionStore({ store: memory, sweep: false }), broken };
  }
  const reload =
    (broken: { now: boolean }, after: Action): Action =>
    async (request) => {
      broken.now = true;
      await expect(request.session.reload()).rejects.toMatchObject({ code: "UNAVAILABLE" });
      broken.now = false;
      return after(request);
    };

  test("keeps the stored session, although the request continues with an empty one", async () => {
    const { store, broken } = failing();
    await using app = await serve(store, { set: set({ a: 1 }), reload: reload(broken, none), look });
    const browser = new Browser(app);
    await browser.get("set");
    expect(await browser.request("reload")).toMatchObject({ status: 200 });
    expect(await browser.get("look")).toMatchObject({ a: 1 });
  });

  test("makes a save of new data fail", async () => {
    const { store, broken } = failing();
    await using app = await serve(store, { set: set({ a: 1 }), reload: reload(broken, set({ b: 1 })), look });
    const browser = new Browser(app);
    await browser.get("set");
    expect(await browser.request("reload")).toMatchObject({ status: 503, body: { code: "UNAVAILABLE" } });
    expect(await browser.get("look")).toMatchObject({ a: 1 });
    expect(await browser.get("look")).not.toHaveProperty("b");
  });

  test("has no effect once a later reload succeeds, or after a regenerate", async () => {
    const { store, broken } = failing();
    const again: Action = async (request) => {
      await request.session.reload();
      request.session.b = 2;
    };
    await using app = await serve(store, {
      set: set({ a: 1 }),
      reload: reload(broken, again),
      renew: reload(broken, all(regenerate, set({ b: 3 }))),
      look,
    });
    const browser = new Browser(app);
    await browser.get("set");
    await browser.get("reload");
    expect(await browser.get("look")).toMatchObject({ a: 1, b: 2 });
    await browser.get("renew");
    expect(await browser.get("look")).toMatchObject({ b: 3 });
  });
});

describe("time", () => {
  test("the cookie's expiry is the deadline, and a request moves it", async () => {
    const { store, clock } = setUp();
    await using app = await serve(store, { set: set({ a: 1 }), look }, { cookie: { maxAge: 10 * minute } });
    const browser = new Browser(app);
    await browser.get("set");
    for (let i = 0; i < 3; i++) {
      clock.offsetMs += 9 * minute;
      expect(await browser.get("look")).toMatchObject({ a: 1 });
    }
    clock.offsetMs += 10 * minute;
    expect(await browser.get("look")).not.toHaveProperty("a");
  });

  test("a cookie without maxAge gives a session of a day, and stays without maxAge", async () => {
    const { store, clock } = setUp();
    await using app = await serve(store, { set: set({ a: 1 }), look });
    const browser = new Browser(app);
    await browser.get("set");
    clock.offsetMs += day - minute;
    expect(await browser.get("look")).toMatchObject({ a: 1, cookie: { expires: null } });
    clock.offsetMs += day;
    expect(await browser.get("look")).not.toHaveProperty("a");
  });

  // CVE-2024-35220: a `maxAge` restored from the store made an expired session live on.
  test("no attribute of a stored cookie extends a session", async () => {
    const { store, clock } = setUp();
    const year = 365 * day;
    const cookie = { originalMaxAge: year, maxAge: year, originalExpires: new Date(Date.now() + year), path: "/" };
    await store.set("s", as({ a: 1, cookie: { ...cookie, expires: new Date(Date.now() + minute) } }));
    const got = await store.get("s");
    expect(expiresIn(got)).toBeLessThanOrEqual(minute);
    expect(got?.cookie).not.toHaveProperty("originalExpires");
    clock.offsetMs += minute;
    expect(await store.get("s")).toBeNull();
  });

  test("a cookie without a date ends with the record's deadline, whatever its originalMaxAge says", async () => {
    const { store } = setUp({ absoluteTimeout: "2h", idleTimeout: "1h" });
    await store.set("s", plain({}, 30 * day));
    expect(expiresIn(await store.get("s"))).toBeLessThanOrEqual(2 * hour);
  });

  test("a lifetime that a request has shortened applies; an expired cookie ends the session", async () => {
    const { store } = setUp();
    await using app = await serve(
      store,
      {
        set: set({ a: 1 }),
        sid,
        shorten: (request) => void Object.assign(request.session.cookie, { expires: new Date(Date.now() + 5_000) }),
        end: (request) => void Object.assign(request.session.cookie, { maxAge: -1 }),
      },
      { cookie: { maxAge: hour } },
    );
    const browser = new Browser(app);
    await browser.get("set");
    const id = String(await browser.get("sid"));
    const { cookie } = browser;
    await browser.get("shorten");
    expect(expiresIn(await store.get(id))).toBeLessThanOrEqual(5_000);
    await new Browser(app, cookie).get("end");
    expect(await store.get(id)).toBeNull();
  });

  test("a request that outlasts its cookie does not shorten a deadline that another request has extended", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const { store } = setUp();
    const barrier = new Barrier();
    await using app = await serve(
      store,
      {
        set: set({ a: 1 }),
        sid,
        prolong: (request) => void Object.assign(request.session.cookie, { maxAge: hour }),
        slow: () => barrier.wait(),
      },
      { cookie: { maxAge: minute } },
    );
    const browser = new Browser(app);
    await browser.get("set");
    const { cookie } = browser;
    const slow = new Browser(app, cookie).get("slow");
    await barrier.arrived;
    await browser.get("prolong");
    vi.setSystemTime(Date.now() + 2 * minute);
    barrier.release();
    await slow;
    expect(expiresIn(await store.get(String(await browser.get("sid"))))).toBeGreaterThan(minute);
  });

  test.each([
    ["nothing", {}],
    ["data", { b: 1 }],
  ])("a request that changed %s does not shorten a deadline that another request has extended", async (_what, data) => {
    const { store } = setUp();
    await using app = await serve(
      store,
      {
        set: set({ a: 1 }),
        sid,
        outer: async (request) => {
          const inner = new Browser(app, request.headers.cookie);
          await inner.get("prolong");
          Object.assign(request.session, data);
        },
        prolong: (request) => void Object.assign(request.session.cookie, { maxAge: day }),
      },
      { cookie: { maxAge: minute } },
    );
    const browser = new Browser(app);
    await browser.get("set");
    const id = String(await browser.get("sid"));
    await browser.get("outer");
    const stored = await store.get(id);
    expect(stored).toMatchObject(data);
    expect(expiresIn(stored)).toBeGreaterThan(hour);
  });
});

describe("keys with the names of @fastify/session's own members", () => {
  test("are not shown, change no prototype, and stay stored", async () => {
    // One that leaves such names in place, as JSON does.
    const codec = {
      encode: (data: unknown) => JSON.stringify(data),
      decode: (payload: string): unknown => JSON.parse(payload),
    };
    const { store } = setUp({ codec });
    const data = { save: "1", sessionId: "2", get: "3", constructor: "4", a: 1 };
    // As an object literal it would be the prototype.
    Object.defineProperty(data, "__proto__", { value: { admin: true }, enumerable: true });
    await using app = await serve(store, {
      set: set({ a: 1 }),
      sid,
      look: (request) => ({ admin: Reflect.get(request.session, "admin") ?? null, ...request.session }),
      change: set({ b: 1 }),
    });
    const browser = new Browser(app);
    await browser.get("set");
    const id = String(await browser.get("sid"));
    await store.set(id, plain(data));
    const got = (await browser.get("look")) as object;
    expect(got).toMatchObject({ admin: null, a: 1 });
    expect(got).not.toHaveProperty("save");
    await browser.get("change");
    const stored = await store.manager.byId.get(tokenToId(id));
    expect(stored?.data).toMatchObject({ save: "1", sessionId: "2", get: "3", constructor: "4", a: 1, b: 1 });
    expect(app.errors).toEqual([]);
  });
});

describe("the carrier", () => {
  const forgetful = (): typeof fastifySession => {
    const require = createRequire(import.meta.url);
    const [entry, inner] = [require.resolve("@fastify/session"), require.resolve("@fastify/session/lib/session.js")];
    const saved = [entry, inner].map((file) => [file, require.cache[file]] as const);
    const patched = readFileSync(inner, "utf8").replace(
      "{ ...cookieOpts, ...previousCookie }",
      "{ ...cookieOpts, ...JSON.parse(JSON.stringify(previousCookie)) }",
    );
    // A later release that copies a cookie by its text keys.
    const module = new Module(inner);
    Object.assign(module, { filename: inner, paths: createRequire(inner).resolve.paths("x") });
    Reflect.get(module, "_compile").call(module, patched, inner);
    try {
      delete require.cache[entry];
      require.cache[inner] = module as never;
      return require("@fastify/session");
    } finally {
      for (const [file, cached] of saved) {
        if (cached === undefined) delete require.cache[file];
        else require.cache[file] = cached;
      }
    }
  };

  test("works with the installed @fastify/session", async () => {
    const { store } = setUp();
    await using app = await serve(store, { set: set({ a: 1 }), look });
    const browser = new Browser(app);
    expect(await browser.request("set")).toMatchObject({ status: 200 });
    expect(await browser.get("look")).toMatchObject({ a: 1 });
  });

  test("makes each save NOT_SUPPORTED, with nothing stored, if @fastify/session does not carry it", async () => {
    const { store, calls } = setUp();
    await using app = await serve(store, { set: set({ a: 1 }), none }, { plugin: forgetful() });
    calls.length = 0;
    const browser = new Browser(app);
    for (const path of ["set", "none"]) {
      expect(await browser.request(path)).toMatchObject({ status: 500, body: { code: "NOT_SUPPORTED" } });
    }
    expect(calls).toEqual([]);
    // A site that upgraded with sessions stored: they are read, and not written.
    await store.set("s", plain({ a: 1 }));
    expect(await store.get("s")).toMatchObject({ a: 1 });
  });

  test("refuses an object of the application's own class", async () => {
    const { store } = setUp();
    class Mine {
      readonly cookie = {};
    }
    await expect(store.set("s", new Mine())).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
  });
});

describe("options", () => {
  const store = new MemoryStore();

  test.each<[string, unknown, string]>([
    ["nothing", undefined, "@sojourn/fastify"],
    ["neither store nor manager", {}, '@sojourn/core: option "store"'],
    ["a manager that is none", { manager: store }, '@sojourn/fastify: option "manager" must be a SessionManager'],
    ["an unknown option", { store, ttl: 60 }, 'unknown option "ttl"'],
    ["a userId that is no function", { store, userId: "user.id" }, 'option "userId" must be a function'],
    ["metadata that is no function", { store, metadata: {} }, 'option "metadata" must be a function'],
  ])("%s: INVALID_OPTION, which names it", (_name, options, message) => {
    expect(() => new FastifySessionStore(as(options))).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
    );
  });

  test("a given manager is used as it is", () => {
    const manager = new SessionManager({ store, sweep: false });
    expect(new FastifySessionStore({ manager }).manager).toBe(manager);
  });
});
