import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { isSessionError, type SessionEvents, type SessionManager } from "../src/index.js";
import { gate, hour, minute, setUp } from "./support.js";

describe("a session's life", () => {
  test("create, get, update, regenerate, destroy", async () => {
    const { manager } = setUp();
    const metadata = { ip: "192.0.2.1", userAgent: "test" };
    const { token, session } = await manager.create({ userId: "42", data: { cart: ["a"] }, metadata });
    expect(session).toMatchObject({ userId: "42", data: { cart: ["a"] }, metadata, version: 1 });
    expect(session.id).not.toContain(token);

    const loaded = await manager.get(token);
    expect(loaded).toMatchObject({ id: session.id, data: { cart: ["a"] }, metadata });
    expect(await loaded?.update((data) => ({ ...data, cart: ["a", "b"] }))).toBe(true);
    expect(loaded).toMatchObject({ data: { cart: ["a", "b"] }, version: 2 });
    expect((await manager.update(token, (data) => ({ ...data, n: 1 })))?.data).toEqual({ cart: ["a", "b"], n: 1 });

    const fresh = await manager.regenerate(token);
    expect(fresh?.token).not.toBe(token);
    expect(fresh?.session).toMatchObject({ userId: "42", data: { cart: ["a", "b"], n: 1 }, endsAt: session.endsAt });
    expect(await manager.get(token)).toBeUndefined();

    expect(await manager.destroy(fresh?.token ?? "")).toBe(true);
    expect(await manager.destroy(fresh?.token ?? "")).toBe(false);
    expect(await manager.get(fresh?.token ?? "")).toBeUndefined();
    expect(await manager.update(fresh?.token ?? "", (data) => data)).toBeUndefined();
    expect(await manager.touch(fresh?.token ?? "")).toBe(false);
    expect(await manager.regenerate(fresh?.token ?? "")).toBeUndefined();
  });

  test("data is deeply frozen, and the caller's object is neither frozen nor shared", async () => {
    const { manager } = setUp();
    const data = { user: { roles: ["a"] } };
    const { token, session } = await manager.create({ data });
    data.user.roles.push("b");
    expect(Object.isFrozen(data)).toBe(false);
    const loaded = await manager.get(token);
    expect(loaded?.data).toEqual({ user: { roles: ["a"] } });
    for (const handle of [session, loaded]) {
      const user = handle?.data.user as typeof data.user;
      expect(() => user.roles.push("c")).toThrow(TypeError);
    }
  });

  test("the JSON of a session contains no data, so that a page may show it", async () => {
    const { manager } = setUp();
    const { token, session } = await manager.create({
      userId: "42",
      data: { secret: "s" },
      metadata: { ip: "192.0.2.1" },
    });
    const json = JSON.stringify(session);
    expect(json).not.toContain("secret");
    expect(json).not.toContain(token);
    expect(JSON.parse(json)).toMatchObject({ id: session.id, userId: "42", metadata: { ip: "192.0.2.1" } });
  });

  test("login is one step: new token, user and data together", async () => {
    const { manager, calls } = setUp();
    const { token } = await manager.create({ data: { cart: ["a"] } });
    calls.length = 0;
    const result = await manager.regenerate(token, { userId: "42", update: (data) => ({ ...data, loggedIn: true }) });
    expect(calls).toEqual(["get", "rename"]);
    expect(result?.session).toMatchObject({ userId: "42", data: { cart: ["a"], loggedIn: true } });
    expect(await manager.listByUser("42")).toHaveLength(1);
  });

  test("of two racing regenerations one wins", async () => {
    const { manager } = setUp();
    const { token } = await manager.create({ data: {} });
    const results = await Promise.all([manager.regenerate(token), manager.regenerate(token)]);
    expect(results.filter((result) => result !== undefined)).toHaveLength(1);
  });
});

describe("deadlines", () => {
  // A handle uses the real time since it was read: in these tests only the clock of the store moves.
  beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => void vi.useRealTimers());

  const timeouts = { idleTimeout: "30m", absoluteTimeout: "2h" } as const;

  test("a session ends at its idle deadline, and in any case at its absolute deadline", async () => {
    const { manager, clock } = setUp(timeouts);
    const idle = await manager.create({ data: {} });
    clock.now += 30 * minute;
    expect(await manager.get(idle.token)).toBeUndefined();

    const busy = await manager.create({ data: {} });
    for (let used = 0; used < 2 * hour - minute; used += minute) {
      expect(await manager.get(busy.token)).toBeDefined();
      clock.now += minute;
    }
    expect((await manager.get(busy.token))?.expiresAt).toBe(busy.session.endsAt);
    clock.now += minute;
    expect(await manager.get(busy.token)).toBeUndefined();
  });

  test("a read writes the activity down only when that moves the deadline by touchAfter", async () => {
    const { manager, clock, calls } = setUp({ ...timeouts, touchAfter: "1m" });
    const { token, session } = await manager.create({ data: {} });
    calls.length = 0;
    clock.now += minute - 1000;
    expect((await manager.get(token))?.expiresAt).toBe(session.expiresAt);
    expect(calls).toEqual(["get"]);
    clock.now += 1000;
    expect(await manager.get(token)).toMatchObject({ expiresAt: clock.now + 30 * minute, lastActiveAt: clock.now });
    expect(calls).toEqual(["get", "get", "touch"]);
  });

  test("touchAfter defaults to a sixtieth of the idle timeout, and 0 is exact", async () => {
    const byDefault = setUp(timeouts);
    const { token } = await byDefault.manager.create({ data: {} });
    byDefault.clock.now += 30_000;
    await byDefault.manager.get(token);
    expect(byDefault.calls).toEqual(["create", "get", "touch"]);

    const exact = setUp({ ...timeouts, touchAfter: 0 });
    const created = await exact.manager.create({ data: {} });
    await exact.manager.get(created.token);
    exact.clock.now += 1;
    await exact.manager.get(created.token);
    expect(exact.calls).toEqual(["create", "get", "get", "touch"]);
  });

  test("a session whose own idle timeout is shorter than touchAfter lives as long as it is used", async () => {
    const { manager, clock } = setUp({ ...timeouts, touchAfter: "10m" });
    const { token } = await manager.create({ data: {}, idleTimeout: "5m" });
    for (let read = 0; read < 10; read++) {
      clock.now += minute;
      // To the millisecond or, as time passes between the answer and the touch, a little later.
      expect((await manager.get(token))?.expiresAt).toBeGreaterThanOrEqual(clock.now + 5 * minute);
    }
  });

  test("the remaining time does not depend on the clock of this process", async () => {
    const { manager, clock } = setUp({ idleTimeout: "30m", absoluteTimeout: "12h" });
    clock.now += 5 * hour;
    const { token } = await manager.create({ data: {} });
    clock.now += 10 * minute;
    const session = await manager.get(token, { touch: false });
    expect(session?.remainingMs).toBeLessThanOrEqual(20 * minute);
    expect(session?.remainingMs).toBeGreaterThan(19 * minute);
    expect(manager.byId).toMatchObject({ idleMs: 30 * minute, absoluteMs: 12 * hour });
  });

  test("reading with touch false is no activity", async () => {
    const { manager, clock, calls } = setUp(timeouts);
    const { token } = await manager.create({ data: {} });
    clock.now += 10 * minute;
    await manager.get(token, { touch: false });
    expect(calls).toEqual(["create", "get"]);
  });

  test("a session keeps its own timeouts through updates, reads and regeneration", async () => {
    const { manager, clock } = setUp(timeouts);
    const remembered = await manager.create({ data: {}, idleTimeout: "14d", absoluteTimeout: "90d" });
    clock.now += 10 * 24 * hour;
    let token = remembered.token;
    expect((await manager.get(token))?.expiresAt).toBe(clock.now + 14 * 24 * hour);
    expect((await manager.update(token, () => ({ n: 1 })))?.expiresAt).toBe(clock.now + 14 * 24 * hour);
    token = (await manager.regenerate(token, { update: (data) => ({ ...data, m: 2 }) }))?.token ?? "";
    clock.now += 13 * 24 * hour;
    expect((await manager.get(token))?.data).toEqual({ n: 1, m: 2 });
  });

  test("a regeneration counts as activity, and does not move a deadline nearer that a touch has moved away", async () => {
    const { manager, clock } = setUp(timeouts);
    const { token, session } = await manager.create({ data: {} });
    clock.now += minute;
    const fresh = await manager.regenerate(token);
    expect(fresh?.session.expiresAt).toBe(session.expiresAt + minute);
    await fresh?.session.touch({ idleMs: hour });
    const kept = await manager.regenerate(fresh?.token ?? "");
    expect(kept?.session.expiresAt).toBeGreaterThan(clock.now + hour - minute);
    expect(kept?.session.expiresAt).toBeLessThanOrEqual(clock.now + hour + 1);
  });
});

describe("touch", () => {
  test("follows the session's own idle timeout, and never shortens unless asked", async () => {
    const { manager, clock } = setUp({ idleTimeout: "30m", absoluteTimeout: "90d" });
    const { token, session } = await manager.create({ data: {}, idleTimeout: "14d" });
    clock.now += 10 * hour;
    expect(await manager.touch(token)).toBe(true);
    const { expiresAt } = (await manager.get(token, { touch: false })) ?? session;
    expect(expiresAt).toBe(session.expiresAt + 10 * hour);
    expect(await manager.touch(token, { idleMs: minute })).toBe(true);
    expect((await manager.get(token, { touch: false }))?.expiresAt).toBe(expiresAt);
    expect(await manager.touch(token, { idleMs: minute, shorten: true })).toBe(true);
    expect((await manager.get(token, { touch: false }))?.expiresAt).toBe(clock.now + minute);
  });

  test("of a handle is written only when it is due, and then not again", async () => {
    const { manager, clock, calls } = setUp({ idleTimeout: "1h" });
    const { token } = await manager.create({ data: {} });
    clock.now += 10 * minute;
    const session = await manager.get(token, { touch: false });
    calls.length = 0;
    expect(await session?.touch()).toBe(true);
    expect(await session?.touch()).toBe(true);
    expect(calls).toEqual(["touch"]);
    // A handle uses the real time since it was read.
    expect(session?.expiresAt).toBeGreaterThanOrEqual(clock.now + hour);
    expect(session?.expiresAt).toBeLessThan(clock.now + hour + minute);
  });
});

test("of two calls of one handle, the one that began on older data does not replace the newer state", async () => {
  const { manager } = setUp();
  const { session } = await manager.create({ data: { a: 1 } });
  const later = gate();
  const slow = session.update(async (data) => {
    await later.opened;
    return data;
  });
  await session.update(() => ({ a: 2 }));
  later.open();
  await slow;
  expect(session).toMatchObject({ data: { a: 2 }, version: 2 });
  expect(await session.save({ a: 1 })).toBe("saved");
});

describe("the sessions of a user", () => {
  async function login(manager: SessionManager, userId: string, count: number): Promise<string[]> {
    const tokens: string[] = [];
    for (let n = 0; n < count; n++) tokens.push((await manager.create({ userId, data: { n } })).token);
    return tokens;
  }

  test("are listed oldest first and ended by id, everywhere, or everywhere else", async () => {
    const { manager, clock } = setUp();
    const tokens: string[] = [];
    for (let n = 0; n < 4; n++) {
      tokens.push(...(await login(manager, "42", 1)));
      clock.now += 1;
    }
    await login(manager, "other", 1);
    const listed = await manager.listByUser("42");
    expect(listed.map(({ createdAt }) => createdAt)).toEqual(listed.map(({ createdAt }) => createdAt).sort());
    expect(await manager.destroyById(listed[0]?.id ?? "")).toBe(true);
    expect(await manager.destroyByUser("42", { except: tokens[3] })).toEqual([listed[1]?.id, listed[2]?.id]);
    expect(await manager.get(tokens[3] ?? "")).toBeDefined();
    expect(await manager.destroyByUser("42")).toHaveLength(1);
    expect(await manager.listByUser("42")).toEqual([]);
    expect(await manager.listByUser("other")).toHaveLength(1);
  });

  test("an except that is no token ends no session", async () => {
    const { manager } = setUp();
    await login(manager, "42", 2);
    await expect(manager.destroyByUser("42", { except: "" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await manager.listByUser("42")).toHaveLength(2);
  });

  test("the limit rejects, or ends the oldest; a login by update or regenerate counts", async () => {
    const rejecting = setUp({ sessionLimit: { max: 2, whenReached: "reject" } }).manager;
    await login(rejecting, "42", 2);
    const { token } = await rejecting.create({ data: {} });
    await expect(rejecting.create({ userId: "42", data: {} })).rejects.toMatchObject({ code: "LIMIT_REACHED" });
    await expect(rejecting.update(token, (data) => data, { userId: "42" })).rejects.toMatchObject({
      code: "LIMIT_REACHED",
    });
    await expect(rejecting.regenerate(token, { userId: "42" })).rejects.toMatchObject({ code: "LIMIT_REACHED" });
    expect((await rejecting.get(token))?.userId).toBeUndefined();

    const { manager, clock } = setUp({ sessionLimit: { max: 2, whenReached: "evictOldest" } });
    const ended: SessionEvents["destroyed"][] = [];
    manager.on("destroyed", (event) => ended.push(event));
    const anonymous = await manager.create({ data: {} });
    const tokens: string[] = [];
    for (let n = 0; n < 2; n++) {
      clock.now += 1;
      tokens.push(...(await login(manager, "42", 1)));
    }
    const oldest = (await manager.get(tokens[0] ?? ""))?.id;
    expect(await manager.regenerate(anonymous.token, { userId: "42" })).toBeDefined();
    expect(ended).toEqual([{ id: oldest, userId: "42", reason: "limit", at: clock.now }]);
    expect(await manager.listByUser("42")).toHaveLength(2);
  });
});

describe("a session limit of one", () => {
  test("counts a session once, however often it is regenerated, by its own user too", async () => {
    const { manager } = setUp({ sessionLimit: { max: 1, whenReached: "reject" }, regenerationGrace: "1m" });
    const ended: unknown[] = [];
    manager.on("destroyed", (event) => ended.push(event));
    const { token: anonymous } = await manager.create({ data: {} });
    let login = await manager.regenerate(anonymous, { userId: "42" });
    for (const input of [{}, { userId: "42" }, { update: (data: object) => ({ ...data, n: 1 }) }, { grace: false }]) {
      login = await manager.regenerate(login?.token ?? "", input);
      expect(login).toBeDefined();
    }
    await expect(manager.create({ userId: "42", data: {} })).rejects.toMatchObject({ code: "LIMIT_REACHED" });
    expect(await manager.listByUser("42")).toHaveLength(1);
    expect(ended).toEqual([]);
  });

  test("that refuses a login leaves the anonymous session as it was, with its token", async () => {
    const { manager } = setUp({ sessionLimit: { max: 1, whenReached: "reject" }, regenerationGrace: "1m" });
    await manager.create({ userId: "42", data: {} });
    const { token } = await manager.create({ data: { cart: ["a"] } });
    await expect(manager.regenerate(token, { userId: "42" })).rejects.toMatchObject({ code: "LIMIT_REACHED" });
    const session = await manager.get(token);
    expect(session).toMatchObject({ userId: undefined, data: { cart: ["a"] }, isSuperseded: false });
    expect(await session?.update((data) => data)).toBe(true);
  });
});

describe("all sessions", () => {
  test("are walked, counted and cleared", async () => {
    const { manager } = setUp();
    for (const userId of ["42", "42", undefined]) await manager.create({ userId, data: { of: userId ?? "nobody" } });
    const seen: unknown[] = [];
    for await (const { data } of manager.byId.scan()) seen.push(data.of);
    expect(seen.sort()).toEqual(["42", "42", "nobody"]);
    expect(await manager.byId.count()).toEqual({ sessions: 3, sessionsWithUser: 2, users: 1 });
    await manager.byId.clear();
    expect((await manager.byId.count()).sessions).toBe(0);
  });

  test("a walk leaves out and reports unreadable sessions; on a closed manager it rejects", async () => {
    const { manager, store } = setUp();
    const errors: string[] = [];
    manager.on("error", ({ error, operation }) => errors.push(`${operation} ${error.code}`));
    await store.create({ id: "unreadable", payload: "{", idleMs: minute, absoluteMs: minute });
    const { session } = await manager.create({ data: {} });
    const ids: string[] = [];
    for await (const { id } of manager.byId.scan()) ids.push(id);
    expect(ids).toEqual([session.id]);
    expect(errors).toEqual(["scan DECODE"]);
    await manager.close();
    await expect(manager.byId.scan().next()).rejects.toMatchObject({ code: "CLOSED" });
  });
});

describe("events and statistics", () => {
  test("each act is one event with id, user, reason and time", async () => {
    const { manager, clock } = setUp();
    const seen: unknown[] = [];
    for (const name of ["created", "updated", "touched", "regenerated", "destroyed"] as const) {
      manager.on(name, (event) => seen.push([name, event]));
    }
    const start = clock.now;
    const { token, session } = await manager.create({ userId: "42", data: {} });
    await manager.update(token, () => ({ n: 1 }));
    clock.now += 10 * minute;
    const at = clock.now;
    await manager.get(token);
    const fresh = await manager.regenerate(token);
    const id = fresh?.session.id;
    await manager.destroyByUser("42");
    expect(seen).toEqual([
      ["created", { id: session.id, userId: "42", at: start }],
      ["updated", { id: session.id, userId: "42", at: start }],
      ["touched", { id: session.id, userId: "42", at }],
      ["regenerated", { id, previousId: session.id, userId: "42", at }],
      ["destroyed", { id, userId: "42", reason: "destroyedByUser", at }],
    ]);
  });

  test("a listener that throws or rejects becomes an error event, and the call succeeds", async () => {
    const { manager } = setUp();
    const errors = vi.fn();
    manager.on("error", errors);
    manager.on("error", () => {
      throw new Error("a listener of error");
    });
    manager.on("created", () => {
      throw new Error("at once");
    });
    manager.on("created", async () => {
      throw new Error("later");
    });
    // A promise of another library, as drivers and query builders return.
    manager.on("created", () => ({
      // biome-ignore lint/suspicious/noThenProperty: this is one.
      then: (_resolve: unknown, reject: (reason: Error) => void) => reject(new Error("by another promise")),
    }));
    const after = vi.fn();
    manager.on("created", after);
    await manager.create({ data: {} });
    await vi.waitFor(() => expect(errors).toHaveBeenCalledTimes(3));
    expect(after).toHaveBeenCalledOnce();
    expect(errors.mock.calls.map(([{ error }]) => String((error as Error).cause))).toEqual([
      "Error: at once",
      "Error: later",
      "Error: by another promise",
    ]);
  });

  test("an unsubscribed listener is not called", async () => {
    const { manager } = setUp();
    const listener = vi.fn();
    manager.on("created", listener)();
    await manager.create({ data: {} });
    expect(listener).not.toHaveBeenCalled();
  });

  test("two subscriptions of one listener end independently", async () => {
    const { manager } = setUp();
    const listener = vi.fn();
    manager.on("created", listener);
    manager.on("created", listener)();
    await manager.create({ data: {} });
    expect(listener).toHaveBeenCalledOnce();
  });

  test("statistics count events and stored sessions", async () => {
    const { manager } = setUp();
    await manager.create({ data: {} });
    const { token } = await manager.create({ userId: "a", data: {} });
    await manager.create({ userId: "a", data: {} });
    await manager.create({ userId: "b", data: {} });
    await manager.get(token);
    await manager.get("x");
    const stats = await manager.stats();
    expect(stats).toMatchObject({
      stored: { sessions: 4, sessionsWithUser: 3, users: 2 },
      meanSessionsPerUser: 1.5,
      hits: 1,
      misses: 1,
      events: { created: 4 },
      operations: { create: { count: 4, errors: 0 }, get: { count: 1 } },
    });
    expect(stats.operations.create?.maxMs).toBeGreaterThan(0);
  });

  test("a closed manager rejects CLOSED, closing twice is no error", async () => {
    const { manager, store } = setUp();
    const { token } = await manager.create({ data: {} });
    await manager.close();
    await manager.close();
    const error: unknown = await manager.get(token).catch((reason: unknown) => reason);
    expect(isSessionError(error, "CLOSED")).toBe(true);
    await expect(store.get("x")).rejects.toMatchObject({ code: "CLOSED" });
  });
});
