import { SessionError, SessionManager, type SessionStore } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { Browser, overriding } from "@sojourn/test-fixtures";
import session, { type SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import { ExpressSessionStore, type ExpressSessionStoreOptions } from "../src/index.js";
import { type Action, expressVersions, hour, serve, setUp } from "./support.js";

// What applications in plain JavaScript pass.
const as = (value: unknown) => value as never;

describe("options", () => {
  const store = new MemoryStore();
  const manager = new SessionManager({ store, sweep: false });

  test.each<[string, unknown, string]>([
    ["nothing", undefined, "@sojourn/express-session"],
    ["null", null, "@sojourn/express-session"],
    ["neither store nor manager", {}, '@sojourn/core: option "store"'],
    ["a store that is none", { store: {} }, '@sojourn/core: option "store"'],
    ["a manager that is none", { manager: store }, 'option "manager" must be a SessionManager, received an instance'],
    ["both", { manager, store }, 'unknown option "store"'],
    ["options beside a manager", { manager, idleTimeout: "1h" }, 'unknown option "idleTimeout"'],
    ["an unknown option", { store, ttl: 60 }, 'unknown option "ttl"'],
    ["a userId that is no function", { store, userId: "user.id" }, 'option "userId" must be a function'],
    ["metadata that is no function", { store, metadata: {} }, 'option "metadata" must be a function'],
    ["a wrong unit", { store, idleTimeout: "30 parsecs" }, 'option "idleTimeout"'],
    ["a number without sense", { store, idleTimeout: Number.NaN }, 'option "idleTimeout"'],
    ["a negative timeout", { store, absoluteTimeout: -1 }, 'option "absoluteTimeout"'],
    ["idle longer than absolute", { store, idleTimeout: "2d", absoluteTimeout: "1d" }, 'option "idleTimeout"'],
  ])("%s: INVALID_OPTION, which names it", (_name, options, message) => {
    expect(() => new ExpressSessionStore(as(options))).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(message) }),
    );
  });

  test("defaults: a day without a cookie's maxAge, 400 days in total; the options of a given manager apply", () => {
    const made = new ExpressSessionStore({ store, sweep: false }).manager.byId;
    expect([made.idleMs, made.absoluteMs]).toEqual([24 * hour, 400 * 24 * hour]);
    expect(new ExpressSessionStore({ manager }).manager).toBe(manager);
  });

  test("a second middleware on one store causes a warning, and so does each further one", async () => {
    const { store } = setUp();
    const warnings: Error[] = [];
    const note = (warning: Error): unknown => warnings.push(warning);
    process.on("warning", note);
    for (let i = 0; i < 2; i++) session({ store, secret: "s", resave: false, saveUninitialized: false });
    await new Promise(setImmediate);
    process.off("warning", note);
    expect(warnings).toMatchObject([{ code: "SOJOURN_SHARED_STORE" }]);
  });
});

describe("session ids", () => {
  test.each<[string, unknown]>([
    ["an object", { $ne: "" }],
    ["an array", ["s"]],
    ["a number", 1],
    ["nothing", undefined],
    ["an empty string", ""],
    ["10 kB", "s".repeat(10_000)],
    ["NUL", "s\0"],
    ["CR LF", "s\r\nset x 0 0 1"],
    ["a lone surrogate", "\ud800"],
  ])("%s is a miss that never reaches the store; set and destroy refuse it without showing it", async (_name, sid) => {
    const { store, calls } = setUp();
    calls.length = 0;
    expect(await store.get(as(sid))).toBeNull();
    await store.touch(as(sid), as({ cookie: {} }));
    await expect(store.destroy(as(sid))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const error = await store.set(as(sid), as({ cookie: {} })).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(String(error)).not.toContain("set x");
    expect(calls).toEqual([]);
  });
});

describe("data that cannot be stored", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;

  test.each<[string, unknown, string]>([
    ["a BigInt", { n: 1n }, "ENCODE"],
    ["a cycle", cycle, "ENCODE"],
    ["no object", "text", "ENCODE"],
    ["an array", [], "ENCODE"],
    ["null", null, "ENCODE"],
    ["nothing", undefined, "ENCODE"],
    ["2 MB", { text: "x".repeat(2_000_000) }, "PAYLOAD_TOO_LARGE"],
  ])("%s is %s to the callback, and the stored session is unchanged", async (_name, data, code) => {
    const { store } = setUp();
    await store.set("s", as({ kept: true }));
    const error = await new Promise((resolve) => void store.set("s", as(data), resolve).catch(() => {}));
    expect(error).toMatchObject({ code });
    expect(await store.get("s")).toEqual({ kept: true });
  });

  test("a user id may be a number or a bigint", async () => {
    const { store } = setUp({ userId: ({ a }) => as(a) });
    await store.set("s", as({ a: 42 }));
    expect(await store.listByUser(42)).toHaveLength(1);
    expect(await store.destroyByUser(42n)).toHaveLength(1);
  });

  test("a malformed user id is INVALID_ARGUMENT", async () => {
    const { store } = setUp({ userId: () => as({}) });
    await expect(store.set("s", as({ a: 1 }))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await store.length()).toBe(0);
  });

  test("a payload that cannot be read is an error of get, not a miss", async () => {
    const memory = new MemoryStore();
    const corrupt = overriding(memory, (method, original) => async (...args) => {
      const result = await original(...args);
      return method === "get" && result ? { ...(result as object), payload: "{" } : result;
    });
    const store = new ExpressSessionStore({ store: corrupt, sweep: false });
    await store.set("s", as({ a: 1 }));
    await expect(store.get("s")).rejects.toMatchObject({ code: "DECODE" });
  });

  test.each<[string, SessionData["cookie"] | unknown]>([
    ["a string", "cookie"],
    ["a date that is none", { expires: "never" }],
    ["a date far away", { expires: new Date(8.64e15) }],
    ["no lifetime", {}],
  ])("a cookie that is %s does no harm", async (_name, cookie) => {
    const { store } = setUp();
    await store.set("s", as({ a: 1, cookie }));
    expect(await store.get("s")).toMatchObject({ a: 1 });
  });
});

describe("while the backend is down", () => {
  const [, [, express] = [] as never] = expressVersions;
  const down = new SessionError("UNAVAILABLE", "the backend is down");
  const look: Action = (req) => req.session;

  function failing(...methods: string[]): { store: ExpressSessionStore; broken: { now: boolean }; errors: string[] } {
    const broken = { now: false };
    const memory = overriding(new MemoryStore(), (method, original) => (...args) => {
      return broken.now && methods.includes(method) ? Promise.reject(down) : original(...args);
    });
    const options: ExpressSessionStoreOptions = { store: memory as SessionStore, sweep: false, touchAfter: 0 };
    const store = new ExpressSessionStore(options);
    const errors: string[] = [];
    store.manager.on("error", ({ operation, error }) => errors.push(`${operation} ${error.code}`));
    return { store, broken, errors };
  }

  test("a request fails with the store's error, and recovers", async () => {
    const { store, broken, errors } = failing("get", "create", "update", "touch", "destroy");
    await using app = await serve(express, store, { look, set: (req) => Object.assign(req.session, { a: 1 }) });
    const browser = new Browser(app);
    await browser.get("set");
    broken.now = true;
    expect(await browser.get("look")).toEqual({ error: "the backend is down" });
    expect(app.errors).toEqual([down]);
    expect(errors).toEqual(["get UNAVAILABLE"]);
    broken.now = false;
    expect(await browser.get("look")).toMatchObject({ a: 1 });
  });

  test.each([
    ["update", { a: 2 }],
    ["touch", {}],
  ])("a failed %s at the end of a request reaches Express", async (method, change) => {
    const { store, broken } = failing(method);
    await using app = await serve(express, store, {
      set: (req) => Object.assign(req.session, { a: 1 }) && null,
      end: (req) => {
        broken.now = true;
        Object.assign(req.session, change);
      },
    });
    const browser = new Browser(app);
    await browser.get("set");
    await browser.get("end");
    expect(app.errors).toEqual([down]);
  });

  test("a failed destroy without a callback is an error event, and no unhandled rejection", async () => {
    const { store, broken, errors } = failing("destroy");
    const unhandled: unknown[] = [];
    const note = (reason: unknown): unknown => unhandled.push(reason);
    process.on("unhandledRejection", note);
    broken.now = true;
    // As express-session's `req.session.destroy()` does: no callback, and the promise is left alone.
    void store.destroy("s");
    void store.get("s", (error) => error);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    process.off("unhandledRejection", note);
    expect(unhandled).toEqual([]);
    expect(errors).toEqual(["destroy UNAVAILABLE"]);
  });

  test("an id that the backend neither frees nor writes is CONFLICT, and the request does not hang", async () => {
    const broken = overriding(new MemoryStore(), (method, original) =>
      method === "update" ? async () => ({ status: "missing" }) : original,
    );
    const store = new ExpressSessionStore({ store: broken, sweep: false });
    const data = { cookie: { originalMaxAge: hour }, a: 1 } as SessionData;
    await store.set("sid", data);
    await expect(store.set("sid", { ...data, a: 2 })).rejects.toMatchObject({ code: "CONFLICT" });
    await store.manager.close();
  });

  test("a backend that never answers is TIMEOUT", async () => {
    const hanging = overriding(new MemoryStore(), () => () => new Promise(() => {}));
    const store = new ExpressSessionStore({ store: hanging, sweep: false, timeoutMs: 50 });
    const outcome = await new Promise((resolve) => void store.get("s", resolve).catch(() => {}));
    expect(outcome).toMatchObject({ code: "TIMEOUT" });
  });
});
