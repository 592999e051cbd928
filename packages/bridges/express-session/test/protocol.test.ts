import { AsyncLocalStorage } from "node:async_hooks";
import { once } from "node:events";
import { tokenToId } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { overriding } from "@sojourn/test-fixtures";
import session, { type SessionData, type Store } from "express-session";
import { describe, expect, test } from "vitest";
import { ExpressSessionStore, type Request } from "../src/index.js";
import { day, hour, minute, setUp } from "./support.js";

/** A session as an application writes it, with a cookie that lives for `maxAge`. */
function plain(data: object, maxAge: number = hour, originalMaxAge: number | null = maxAge): SessionData {
  const expires = new Date(Date.now() + maxAge);
  // What an application sets has the form of a cookie, not its class.
  return { ...data, cookie: { originalMaxAge, expires, httpOnly: true, path: "/" } } as unknown as SessionData;
}

/** A session as express-session makes one, for a request with this session id. */
function generated(store: Store, sid: string, data: object, maxAge?: number): session.Session & SessionData {
  // The classes are there, though not in the types.
  const { Session, Cookie } = session as unknown as Record<string, new (...args: unknown[]) => object>;
  if (Session === undefined || Cookie === undefined) throw new Error("express-session has changed");
  const cookie = new Cookie({ maxAge });
  return Object.assign(new Session(request(store, sid)), data, { cookie }) as session.Session & SessionData;
}

/** A session that express-session loads for a request. */
async function loaded(store: ExpressSessionStore, sid: string): Promise<session.Session & SessionData> {
  const data = await store.get(sid);
  if (data === null) throw new Error("no such session");
  return store.createSession(request(store, sid), data);
}

function request(store: Store, sid: string): Request {
  // All that express-session's Session looks at.
  return { sessionID: sid, sessionStore: store } as unknown as Request;
}

function expiresIn(data: SessionData | null): number {
  return (data?.cookie.expires?.getTime() ?? Number.NaN) - Date.now();
}

describe("callbacks", () => {
  test("are called once, asynchronously, with the result of the promise", async () => {
    const { store } = setUp();
    const calls: unknown[][] = [];
    const note =
      (name: string) =>
      (...args: unknown[]): void => {
        calls.push([name, ...args]);
      };
    await store.set("s", plain({ a: 1 }), note("set"));
    const got = await store.get("s", note("get"));
    await store.touch("s", plain({}), note("touch"));
    await store.length(note("length"));
    await store.destroy("s", note("destroy"));
    await store.get("s", note("miss"));
    await store.clear(note("clear"));
    const pending = store.get("s", note("last"));
    expect(calls.at(-1)?.[0]).not.toBe("last");
    await pending;
    await new Promise(setImmediate);
    expect(calls).toEqual([
      ["set", null, undefined],
      ["get", null, got],
      ["touch", null, undefined],
      ["length", null, 1],
      ["destroy", null, undefined],
      ["miss", null, null],
      ["clear", null, undefined],
      ["last", null, null],
    ]);
  });

  test("an error thrown by a callback is an uncaught exception, and the callback is not called again", async () => {
    const { store } = setUp();
    let calls = 0;
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    try {
      const uncaught = once(process, "uncaughtException");
      await store.get("s", () => {
        calls++;
        throw new Error("mine");
      });
      expect(await uncaught).toMatchObject([{ message: "mine" }, "uncaughtException"]);
      await new Promise(setImmediate);
      expect(calls).toBe(1);
    } finally {
      for (const listener of listeners) process.on("uncaughtException", listener);
    }
  });

  test("run in the async context of the caller, whichever call was answered", async () => {
    const context = new AsyncLocalStorage<string>();
    const waiting: (() => void)[] = [];
    // Answers from a foreign context, as a pooled connection does.
    const foreign = overriding(new MemoryStore(), (_method, original) => (...args) => {
      return new Promise((resolve) => waiting.push(() => resolve(original(...args))));
    });
    const store = new ExpressSessionStore({ store: foreign, sweep: false });
    const seen: unknown[] = [];
    const done = ["one", "two"].map((name) =>
      context.run(name, () => store.get("same", () => seen.push(context.getStore()))),
    );
    // A session that is not found is looked for among the regenerated ones.
    for (let read = 0; read < 2; read++) {
      await new Promise(setImmediate);
      context.run("foreign", () => {
        for (const answer of waiting.splice(0)) answer();
      });
    }
    await Promise.all(done);
    await new Promise(setImmediate);
    expect(seen).toEqual(["one", "two"]);
  });
});

describe("a session", () => {
  test("round-trips with its cookie; a missing or expired one is null", async () => {
    const { store, clock } = setUp();
    expect(await store.get("s")).toBeNull();
    await store.set("s", plain({ a: { b: [1, null, "é"] } }));
    const got = await store.get("s");
    expect(got).toEqual({
      a: { b: [1, null, "é"] },
      cookie: { originalMaxAge: hour, expires: expect.any(Date), httpOnly: true, path: "/" },
    });
    expect(expiresIn(got)).toBeGreaterThan(hour - minute);
    clock.offsetMs += hour;
    expect(await store.get("s")).toBeNull();
  });

  test("ends at the millisecond", async () => {
    const now = Date.now();
    const clock = { now: () => now + offset };
    let offset = 0;
    const store = new ExpressSessionStore({ store: new MemoryStore({ clock }), sweep: false });
    const stored: number[] = [];
    await store.set("s", plain({}, 60_999));
    const [session] = await collect(store.manager.byId.scan());
    if (session === undefined) throw new Error("nothing is stored");
    const lifetime = session.expiresAt - session.createdAt;
    // Less what passed while the test made the cookie.
    expect(lifetime).toBeLessThanOrEqual(60_999);
    for (offset of [lifetime - 1, lifetime]) stored.push((await store.get("s")) === null ? 0 : 1);
    expect(stored).toEqual([1, 0]);
  });

  test("without a cookie round-trips, for the idle timeout", async () => {
    const { store, clock } = setUp({ idleTimeout: "2h" });
    // Applications do that.
    await store.set("s", { a: 1 } as unknown as SessionData);
    expect(await store.get("s")).toEqual({ a: 1 });
    clock.offsetMs += 2 * hour - minute;
    expect(await store.get("s")).toEqual({ a: 1 });
    clock.offsetMs += minute;
    expect(await store.get("s")).toBeNull();
  });

  test("with a browser-session cookie lives for a day, and its cookie stays one", async () => {
    const { store, clock } = setUp();
    await store.set("s", generated(store, "s", { a: 1 }));
    clock.offsetMs += day - minute;
    const session = await loaded(store, "s");
    expect(session.cookie.expires).toBeNull();
    session.touch();
    await store.touch("s", session);
    clock.offsetMs += day - minute;
    expect(await store.get("s")).toMatchObject({ a: 1, cookie: { expires: null } });
    clock.offsetMs += day;
    expect(await store.get("s")).toBeNull();
  });

  test("of 30 days lives on while it is used, up to 400 days in total", async () => {
    const { store, clock } = setUp();
    await store.set("s", generated(store, "s", { a: 1 }, 30 * day));
    for (let age = 0; age < 399; age += 21) {
      const session = await loaded(store, "s");
      session.touch();
      await store.touch("s", session);
      clock.offsetMs += 21 * day;
    }
    expect(expiresIn(await store.get("s"))).toBeLessThanOrEqual(day);
    clock.offsetMs += day;
    expect(await store.get("s")).toBeNull();
  });

  test("whose cookie outlives the absolute timeout ends with the latter, as its cookie then says", async () => {
    const { store } = setUp({ absoluteTimeout: "2h", idleTimeout: "1h" });
    await store.set("s", generated(store, "s", {}, 30 * day));
    const left = expiresIn(await store.get("s"));
    expect(left).toBeLessThanOrEqual(2 * hour);
    expect(left).toBeGreaterThan(2 * hour - minute);
  });

  test.each([-hour, hour])("keeps its lifetime when the store's clock is %i ms off", async (offsetMs) => {
    const { store, clock } = setUp();
    clock.offsetMs = offsetMs;
    await store.set("s", generated(store, "s", { a: 1 }, 10 * minute));
    const session = await loaded(store, "s");
    expect(expiresIn(session)).toBeGreaterThan(9 * minute);
    expect(expiresIn(session)).toBeLessThanOrEqual(10 * minute);
    session.a = 2;
    await store.set("s", session);
    expect(await store.get("s")).toMatchObject({ a: 2 });
  });

  test("whose cookie has expired is destroyed by set and by touch", async () => {
    const { store } = setUp();
    for (const verb of ["set", "touch"] as const) {
      await store.set("s", plain({ a: 1 }));
      await store[verb]("s", plain({ a: 1 }, -1));
      expect(await store.get("s")).toBeNull();
    }
    await store.set("never", generated(store, "never", {}, -1));
    expect(await store.length()).toBe(0);
  });

  test("lives in the store under the hash of its id", async () => {
    const { store } = setUp();
    await store.set("secret-sid", plain({}));
    expect(await store.ids()).toEqual([tokenToId("secret-sid")]);
    expect(await store.get(tokenToId("secret-sid"))).toBeNull();
  });
});

describe("touch", () => {
  test("shows in the next get's cookie.expires, in one round trip and without the data", async () => {
    const { store, clock, calls } = setUp();
    await store.set("s", generated(store, "s", { a: 1 }, hour));
    clock.offsetMs += 30 * minute;
    const session = await loaded(store, "s");
    expect(expiresIn(session)).toBeLessThan(31 * minute);
    session.a = "not saved";
    session.touch();
    calls.length = 0;
    await store.touch("s", session);
    expect(calls).toEqual(["touch"]);
    const got = await store.get("s");
    expect(got).toMatchObject({ a: 1 });
    expect(expiresIn(got)).toBeGreaterThan(59 * minute);
  });

  test("that has nothing to write reaches no backend, and calls back in the next tick", async () => {
    const { store, calls } = setUp();
    await store.set("s", generated(store, "s", { a: 1 }, hour));
    const session = await loaded(store, "s");
    session.touch();
    calls.length = 0;
    const order: string[] = [];
    const done = store.touch("s", session, () => order.push("touched"));
    // express-session writes the response then, and Node.js sends what was written of it until then in one packet.
    process.nextTick(() => order.push("next tick"));
    order.push("returned");
    expect(await done).toBeUndefined();
    await new Promise(setImmediate);
    expect(order).toEqual(["returned", "touched", "next tick"]);
    expect(calls).toEqual([]);
  });

  test("waits for a save of its session that is under way", async () => {
    const { store } = setUp();
    await store.set("s", generated(store, "s", { a: 1 }, hour));
    const session = await loaded(store, "s");
    session.a = 2;
    const order: string[] = [];
    const saved = store.set("s", session, () => order.push("saved"));
    await store.touch("s", session, () => order.push("touched"));
    await saved;
    await new Promise(setImmediate);
    expect(order).toEqual(["saved", "touched"]);
  });

  test("writes a cookie that has changed in any way", async () => {
    const { store } = setUp();
    for (const change of [{ path: "/app" }, { domain: "example.org" }, { secure: true }, { expires: null }]) {
      await store.set("s", generated(store, "s", { a: 1 }, hour));
      const session = await loaded(store, "s");
      Object.assign(session.cookie, change);
      await store.touch("s", session);
      expect((await store.get("s"))?.cookie).toMatchObject(change);
      await store.destroy("s");
    }
  });

  test("of a cookie without a date, by null or by false, lets the session live on", async () => {
    for (const expires of [null, false] as const) {
      const { store } = setUp();
      await store.set("s", generated(store, "s", { a: 1 }, hour));
      const session = await loaded(store, "s");
      // As express-session's README has it, and its types do not.
      Object.assign(session.cookie, { expires });
      await store.touch("s", session);
      expect(await store.get("s")).toMatchObject({ a: 1, cookie: { expires: null } });
      Object.assign(session, { a: 2 });
      await store.set("s", session);
      expect(await store.get("s")).toMatchObject({ a: 2, cookie: { expires: null } });
    }
  });

  test("never creates or revives a session", async () => {
    const { store, conflicts } = setUp();
    await store.touch("never", plain({ a: 1 }));
    await store.set("s", generated(store, "s", { a: 1 }, hour));
    const session = await loaded(store, "s");
    await store.destroy("s");
    session.cookie.maxAge = 2 * hour;
    await store.touch("s", session);
    expect(await store.length()).toBe(0);
    expect(conflicts).toEqual(["ended"]);
  });

  test("writes a changed lifetime of the cookie, longer or shorter", async () => {
    const { store } = setUp();
    await store.set("s", generated(store, "s", { a: 1 }, minute));
    for (const maxAge of [hour, 10 * minute]) {
      const session = await loaded(store, "s");
      session.cookie.maxAge = maxAge;
      // Less what passed between the two looks at the clock by which express-session dates a cookie.
      const { originalMaxAge } = session.cookie;
      expect(originalMaxAge).toBeGreaterThan(maxAge - minute);
      await store.touch("s", session);
      const got = await store.get("s");
      expect(got).toMatchObject({ a: 1, cookie: { originalMaxAge } });
      expect(expiresIn(got)).toBeGreaterThan(maxAge - minute);
      expect(expiresIn(got)).toBeLessThanOrEqual(maxAge);
    }
  });

  test("with an unchanged cookie does not shorten a deadline that another request has extended", async () => {
    const { store } = setUp();
    await store.set("s", generated(store, "s", {}, minute));
    const slow = await loaded(store, "s");
    const login = await loaded(store, "s");
    login.cookie.maxAge = 30 * day;
    await store.touch("s", login);
    slow.touch();
    await store.touch("s", slow);
    expect(expiresIn(await store.get("s"))).toBeGreaterThan(29 * day);
  });

  test("works for an object that was not loaded", async () => {
    const { store } = setUp();
    await store.set("s", plain({ a: 1 }, minute));
    await store.touch("s", plain({ ignored: true }, hour));
    const got = await store.get("s");
    expect(got).toMatchObject({ a: 1, cookie: { originalMaxAge: hour } });
    expect(got).not.toHaveProperty("ignored");
    expect(expiresIn(got)).toBeGreaterThan(59 * minute);
    const { cookie } = got ?? plain({});
    await store.touch("s", plain({}, 5_000, cookie.originalMaxAge));
    expect(expiresIn(await store.get("s"))).toBeLessThanOrEqual(5_000);
  });
});

describe("set", () => {
  test("of the application's own object creates the session, or replaces its data", async () => {
    const { store } = setUp();
    await store.set("s", plain({ a: 1, b: 1 }));
    await store.set("s", plain({ a: 2 }));
    expect(await store.get("s")).toEqual({ a: 2, cookie: expect.anything() });
    const mine = plain({ a: 3 });
    await store.set("s", mine);
    await store.destroy("s");
    await store.set("s", mine);
    expect(await store.get("s")).toMatchObject({ a: 3 });
  });

  test("of a loaded session writes only its changes, and never creates", async () => {
    const { store, conflicts } = setUp();
    await store.set("s", plain({ a: 1, list: [1] }));
    const [first, second] = [await store.get("s"), await store.get("s")];
    if (first === null || second === null) throw new Error("the session is gone");
    await store.set("s", Object.assign(second, { b: 1 }));
    first.list?.push(2);
    await store.set("s", first);
    expect(await store.get("s")).toMatchObject({ a: 1, list: [1, 2], b: 1 });
    await store.destroy("s");
    await store.set("s", Object.assign(first, { late: true }));
    expect(await store.get("s")).toBeNull();
    expect(conflicts).toEqual(["retried", "ended"]);
  });

  test("of a request's session under another id creates a session under that id", async () => {
    const { store } = setUp();
    await store.set("s", generated(store, "s", { a: 1 }));
    await store.set("copy", await loaded(store, "s"));
    expect(await store.get("copy")).toMatchObject({ a: 1 });
    expect(await store.length()).toBe(2);
  });

  test("keeps keys that express-session hides from the request", async () => {
    const { store } = setUp();
    const hidden = { id: "mine", save: "mine", constructor: "mine" };
    await store.set("s", plain({ a: 1, b: 1, ...hidden }));
    const session = await loaded(store, "s");
    session.a = 2;
    delete session.b;
    await store.set("s", session);
    expect(await store.get("s")).toEqual({ a: 2, ...hidden, cookie: expect.anything() });
  });

  test("of changed data with an unchanged cookie does not shorten a deadline that another request has extended", async () => {
    const { store } = setUp();
    await store.set("s", generated(store, "s", {}, minute));
    const slow = await loaded(store, "s");
    const login = await loaded(store, "s");
    login.cookie.maxAge = 30 * day;
    await store.set("s", login);
    slow.touch();
    await store.set("s", Object.assign(slow, { a: 1 }));
    const got = await store.get("s");
    expect(got).toMatchObject({ a: 1 });
    expect(expiresIn(got)).toBeGreaterThan(29 * day);
    const later = await loaded(store, "s");
    later.cookie.maxAge = 5_000;
    await store.set("s", Object.assign(later, { a: 2 }));
    expect(expiresIn(await store.get("s"))).toBeLessThanOrEqual(5_000);
  });

  test("saves the session as it is at the time of the call", async () => {
    const { store } = setUp();
    const session = generated(store, "s", { list: [1] });
    const saved = store.set("s", session);
    session.list?.push(2);
    await saved;
    expect(await store.get("s")).toMatchObject({ list: [1] });
    await store.set("s", session);
    expect(await store.get("s")).toMatchObject({ list: [1, 2] });
  });

  test("of two new sessions under one id keeps the keys of both", async () => {
    const { store } = setUp();
    await store.set("s", generated(store, "s", { a: 1 }));
    const other = generated(store, "s", { b: 1 });
    await store.set("s", other);
    await store.set("s", Object.assign(other, { b: 2 }));
    expect(await store.get("s")).toMatchObject({ a: 1, b: 2 });
  });

  test("does not treat clock drift as a change of the cookie", async () => {
    const { store, calls } = setUp();
    await store.set("s", generated(store, "s", {}, hour));
    const session = await loaded(store, "s");
    // What express-session makes of it when the clock ticks between two looks at it.
    session.cookie.originalMaxAge = (session.cookie.originalMaxAge ?? 0) - 1;
    calls.length = 0;
    await store.touch("s", session);
    expect(calls).not.toContain("update");
  });
});

describe("all sessions", () => {
  test("are listed, counted and cleared", async () => {
    const { store } = setUp();
    for (const a of [1, 2, 3]) await store.set(`s${a}`, plain({ a }));
    expect((await store.all()).map(({ a }) => a).sort()).toEqual([1, 2, 3]);
    expect(await store.length()).toBe(3);
    expect((await store.ids()).sort()).toEqual(["s1", "s2", "s3"].map(tokenToId).sort());
    await store.clear();
    expect(await store.all()).toEqual([]);
  });
});

describe("load", () => {
  test("gives a session that can be changed and saved outside a request", async () => {
    const { store } = setUp();
    await store.set("s", plain({ a: 1 }));
    const session = await new Promise<SessionData | undefined>((resolve, reject) => {
      store.load("s", (error, found) => (error ? reject(error) : resolve(found)));
    });
    if (session === undefined) throw new Error("the session is gone");
    await store.set("s", Object.assign(session, { a: 2 }));
    expect(await store.get("s")).toMatchObject({ a: 2 });
  });
});

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

describe("code written for stores that know the session ids", () => {
  test("all carries storage ids, which set, touch and destroy take", async () => {
    const { store } = setUp();
    for (const sid of ["s", "t"]) await store.set(sid, plain({ a: sid, id: "the application's" }));
    const [first, second] = (await store.all()).sort((a, b) => String(a.a).localeCompare(String(b.a)));
    expect([first?.id, second?.id]).toEqual([tokenToId("s"), tokenToId("t")]);
    expect((await store.ids()).sort()).toEqual([tokenToId("s"), tokenToId("t")].sort());
    if (first === undefined || second === undefined) throw new Error("all returns both sessions");

    await store.set(first.id, Object.assign(first, { a: "changed" }));
    await store.touch(second.id, second);
    expect(await store.length()).toBe(2);
    expect(await store.get("s")).toMatchObject({ a: "changed", id: "the application's" });
    expect(await store.get("t")).toMatchObject({ a: "t", id: "the application's" });

    await store.destroy(first.id);
    expect(await store.get("s")).toBeNull();
    await store.set(first.id, first);
    expect(await store.length()).toBe(1);
  });

  test("each of ids can be destroyed, and get does not take one", async () => {
    const { store } = setUp();
    for (const sid of ["s", "t"]) await store.set(sid, plain({ a: 1 }));
    for (const id of await store.ids()) {
      expect(await store.get(id)).toBeNull();
      await store.destroy(id);
    }
    expect(await store.length()).toBe(0);
  });

  test.each([{ expires: null }, {}])("originalMaxAge: null comes back as it was, with %o", async (date) => {
    const { store } = setUp();
    const cookie = { originalMaxAge: null, ...date, httpOnly: true, path: "/" };
    await store.set("s", { cookie, a: 1 } as unknown as SessionData);
    const got = await store.get("s");
    expect(got).toEqual({ cookie: { ...cookie, expires: null }, a: 1 });
    await store.set("s", got as SessionData);
    expect(await store.get("s")).toEqual(got);
  });
});
