import { setTimeout as delay } from "node:timers/promises";
import { MemoryStore } from "@sojourn/memory";
import { Barrier, Browser, overriding } from "@sojourn/test-fixtures";
import type { SessionOptions } from "express-session";
import { describe, expect, test } from "vitest";
import { type Action, expressVersions, hour, minute, serve, setUp } from "./support.js";

/** What each request does, and the calls of the backend that it costs: `|` between requests. */
interface Flow {
  readonly name: string;
  readonly requests: Action[];
  readonly calls: string;
  readonly options?: Partial<SessionOptions>;
}

const set =
  (data: object): Action =>
  (req) => {
    Object.assign(req.session, data);
  };
const none: Action = () => null;
const save: Action = (req) => new Promise((done) => req.session.save(done));
const regenerate: Action = (req) => new Promise((done) => req.session.regenerate(done));

/** One request that does one thing after the other; a few milliseconds in between, which a touch needs to matter. */
const all =
  (...actions: Action[]): Action =>
  async (req) => {
    for (const action of actions) {
      await action(req);
      await delay(5);
    }
  };

const flows: Flow[] = [
  { name: "untouched, no cookie", requests: [none], calls: "" },
  {
    name: "untouched, saveUninitialized",
    requests: [none, none],
    calls: "create | get+touch",
    options: { saveUninitialized: true },
  },
  { name: "set once, read later", requests: [set({ a: 1 }), none, none], calls: "create | get+touch | get+touch" },
  { name: "changed each time", requests: [set({ a: 1 }), set({ a: 2 })], calls: "create | get+update" },
  { name: "set to what it was", requests: [set({ a: 1 }), set({ a: 1 })], calls: "create | get+touch" },
  { name: "new, save then end", requests: [all(set({ a: 1 }), save)], calls: "create" },
  {
    name: "existing, save then end",
    requests: [set({ a: 1 }), all(set({ a: 2 }), save)],
    calls: "create | get+update+touch",
  },
  {
    name: "save, then more changes",
    requests: [set({ a: 1 }), all(set({ a: 2 }), save, set({ a: 3 }))],
    calls: "create | get+update+update",
  },
  {
    name: "save on a new session without waiting, then more changes",
    requests: [
      (req) => {
        req.session.save();
        req.session.a = 1;
      },
    ],
    calls: "create+update",
    options: { saveUninitialized: true },
  },
  {
    name: "regenerate, assign",
    requests: [set({ a: 1 }), all(regenerate, set({ b: 1 }))],
    calls: "create | get+create+destroy+create",
  },
  {
    name: "regenerate, assign, save",
    requests: [set({ a: 1 }), all(regenerate, set({ b: 1 }), save)],
    calls: "create | get+create+destroy+create+touch",
  },
  {
    name: "destroy",
    requests: [set({ a: 1 }), (req) => new Promise((done) => req.session.destroy(done))],
    calls: "create | get+destroy",
  },
  {
    name: "save without waiting, then destroy",
    requests: [
      (req) =>
        new Promise((done) => {
          req.session.a = 1;
          req.session.save();
          req.session.destroy(done);
        }),
    ],
    calls: "create+destroy",
  },
  {
    name: "session = null, unset keep",
    requests: [set({ a: 1 }), (req) => void Reflect.set(req, "session", null)],
    calls: "create | get",
  },
  {
    name: "session = null, unset destroy",
    requests: [set({ a: 1 }), (req) => void Reflect.set(req, "session", null)],
    calls: "create | get+destroy",
    options: { unset: "destroy" },
  },
  {
    name: "reload",
    requests: [set({ a: 1 }), all(set({ junk: 1 }), (req) => new Promise((done) => req.session.reload(done)))],
    calls: "create | get+get+touch",
  },
  {
    name: "unchanged under resave",
    requests: [set({ a: 1 }), all(none)],
    calls: "create | get+touch",
    options: { resave: true },
  },
  {
    name: "only the cookie's lifetime changed",
    requests: [
      set({ a: 1 }),
      (req) => {
        req.session.cookie.maxAge = 5 * minute;
      },
    ],
    calls: "create | get+update",
  },
  {
    name: "rolling",
    requests: [set({ a: 1 }), none],
    calls: "create | get+touch",
    options: { rolling: true },
  },
];

describe.each(expressVersions)("%s", (_version, express) => {
  test.each(flows)("$name: $calls", async ({ requests, calls, options }) => {
    const { store, calls: made } = setUp({ touchAfter: 0 });
    const actions = Object.fromEntries(requests.map((action, index) => [`request${index}`, action]));
    await using app = await serve(express, store, actions, { cookie: { maxAge: minute }, ...options });
    const browser = new Browser(app);
    const log: string[] = [];
    for (const name of Object.keys(actions)) {
      made.length = 0;
      await browser.get(name);
      log.push(made.join("+"));
      await delay(5);
    }
    expect(log.join(" | ")).toBe(calls);
    expect(app.errors).toEqual([]);
    await store.manager.close();
  });

  test("a request without changes writes when this moves the deadline by a sixtieth of the cookie's lifetime", async () => {
    const { store, clock, calls } = setUp();
    await using app = await serve(
      express,
      store,
      { login: set({ a: 1 }), look: (req) => req.session.a },
      {
        cookie: { maxAge: hour },
      },
    );
    const browser = new Browser(app);
    await browser.get("login");
    calls.length = 0;
    for (let minutes = 0; minutes < 3; minutes += 0.5) {
      clock.offsetMs += minute / 2;
      expect(await browser.get("look")).toBe(1);
    }
    expect(calls).toEqual(["get", "get", "touch", "get", "get", "touch", "get", "get", "touch"]);
    await store.manager.close();
  });

  test("a request that follows a redirect reads what the request before it set, although its save has not ended", async () => {
    const barrier = new Barrier();
    let isSlow = false;
    const memory = overriding(new MemoryStore(), (method, original) => (...args) => {
      return isSlow && method === "update" ? barrier.wait().then(() => original(...args)) : original(...args);
    });
    const { store } = setUp({ store: memory });
    const look: Action = (req) => req.session.a;
    await using app = await serve(express, store, {
      set: set({ a: 1 }),
      look,
      go: (req) => {
        req.session.a = 2;
        req.res?.redirect("/look");
        // The redirect is the response: this action never returns another one.
        return new Promise(() => undefined);
      },
    });
    const browser = new Browser(app);
    await browser.get("set");
    isSlow = true;
    // express-session sends the head of the response before it saves.
    const response = await fetch(`${app.url}/go`, { headers: { cookie: browser.cookie ?? "" }, redirect: "manual" });
    expect(response.status).toBe(302);
    await barrier.arrived;
    const followed = browser.get("look");
    await delay(20);
    barrier.release();
    expect(await followed).toBe(2);
    await response.text();
    await store.manager.close();
  });

  test("regenerate ends the old id and drops the data", async () => {
    const { store } = setUp();
    const look: Action = (req) => req.session;
    await using app = await serve(express, store, { set: set({ a: 1 }), login: all(regenerate, set({ b: 1 })), look });
    const browser = new Browser(app);
    await browser.get("set");
    const old = new Browser(app, browser.cookie);
    await browser.get("login");
    expect(browser.cookie).not.toBe(old.cookie);
    expect(await browser.get("look")).toMatchObject({ b: 1 });
    expect(await old.get("look")).not.toHaveProperty("a");
    expect(await store.length()).toBe(1);
    await store.manager.close();
  });
});
