import { explore, ModelBackend, ModelStore, type Operation, steppedStore } from "@sojourn/testkit";
import { describe, expect, test } from "vitest";
import {
  isSessionError,
  type SessionCodec,
  SessionManager,
  type SessionManagerOptions,
  type SessionStore,
  tokenToId,
} from "../src/index.js";
import { type Fixture, minute, overriding, setUp } from "./support.js";

const grace = 10_000;

/** A session of user 42 that has just been regenerated with a grace of ten seconds. */
async function regenerated(options: Partial<SessionManagerOptions> = {}) {
  const fixture = setUp({ regenerationGrace: grace, ...options });
  const conflicts: string[] = [];
  fixture.manager.on("conflict", ({ reason }) => conflicts.push(reason));
  const { token: old } = await fixture.manager.create({ userId: "42", data: { n: 1 } });
  const { token, session } = present(await fixture.manager.regenerate(old));
  fixture.calls.length = 0;
  return { ...fixture, old, token, session, conflicts };
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("expected a session");
  return value;
}

describe("the old token, within the grace", () => {
  test("reads the session as it is now, under its new id", async () => {
    const { manager, old, token, session, calls } = await regenerated();
    await manager.update(token, () => ({ n: 2 }));
    calls.length = 0;
    const found = present(await manager.get(old));
    expect(found).toMatchObject({ id: session.id, userId: "42", data: { n: 2 }, isSuperseded: true });
    expect(present(await manager.get(token)).isSuperseded).toBe(false);
    expect(calls).toEqual(["get", "get", "get", "get"]);
  });

  test("has an id that locates the session under its new id, as no activity and no presented token", async () => {
    const { manager, old, session, calls, clock } = await regenerated({
      touchAfter: 0,
      detection: { unknownTokens: 1 },
    });
    const events: string[] = [];
    for (const name of ["touched", "security"] as const) manager.on(name, () => events.push(name));
    const { hits, misses } = await manager.stats();
    clock.now += 1_000;
    const located = { id: session.id, userId: "42", remainingMs: session.expiresAt - clock.now };
    expect(await manager.byId.locate(tokenToId(old))).toEqual(located);
    clock.now += grace;
    expect(await manager.byId.locate(tokenToId(old))).toBeUndefined();
    expect(new Set(calls)).toEqual(new Set(["get", "count"]));
    expect(await manager.stats()).toMatchObject({ hits, misses });
    expect(events).toEqual([]);
  });

  test("does not write and does not prolong the session", async () => {
    const { manager, old, token, calls, conflicts, clock } = await regenerated({ touchAfter: 0 });
    clock.now += 1_000;
    const found = present(await manager.get(old));
    expect(await found.update(() => ({ n: 3 }))).toBe(false);
    expect(await found.save(found.data)).toBe("unchanged");
    expect(await found.save({ n: 3 })).toBe("superseded");
    expect(await found.touch()).toBe(true);
    expect(await manager.update(old, () => ({ n: 3 }))).toBeUndefined();
    expect(await manager.touch(old)).toBe(true);
    expect(conflicts).toEqual(["superseded", "superseded", "superseded"]);
    expect(new Set(calls)).toEqual(new Set(["get"]));
    const current = present(await manager.get(token, { touch: false }));
    expect(current).toMatchObject({ data: { n: 1 }, lastActiveAt: clock.now - 1_000 });
  });

  test("does neither for a session that was loaded before", async () => {
    const { manager, clock } = setUp({ regenerationGrace: grace, touchAfter: 0 });
    const conflicts: string[] = [];
    manager.on("conflict", ({ reason }) => conflicts.push(reason));
    const { token: old, session } = await manager.create({ userId: "42", data: { n: 1 } });
    const { token } = present(await manager.regenerate(old));
    clock.now += 1_000;
    // Longer than what it has: a touch that would move nothing is not sent.
    const longer = { idleMs: 60 * minute };
    expect(await session.touch(longer)).toBe(true);
    expect(await session.update(() => ({ n: 2 }))).toBe(false);
    expect(await session.save({ n: 2 })).toBe("superseded");
    expect(conflicts).toEqual(["superseded", "superseded"]);
    expect((await manager.get(token))?.data).toEqual({ n: 1 });
    await manager.destroy(token);
    expect(await session.touch(longer)).toBe(false);
    expect(await session.save({ n: 2 })).toBe("ended");
  });

  test.each(["by token", "by the session that it reads", "by a session that was loaded before"])(
    "logs out %s",
    async (way) => {
      const { manager, clock } = setUp({ regenerationGrace: grace });
      const ended: unknown[] = [];
      manager.on("destroyed", (event) => ended.push(event));
      const { token: old, session: loaded } = await manager.create({ userId: "42", data: {} });
      const { token, session } = present(await manager.regenerate(old));
      if (way === "by token") expect(await manager.destroy(old)).toBe(true);
      else expect(await (way.includes("before") ? loaded : present(await manager.get(old))).destroy()).toBe(true);
      expect(ended).toEqual([{ id: session.id, userId: "42", reason: "destroyed", at: clock.now }]);
      expect(await manager.get(token)).toBeUndefined();
      expect(await manager.get(old)).toBeUndefined();
      expect(await manager.destroy(old)).toBe(false);
    },
  );

  test("finds nothing once the session has ended", async () => {
    const { manager, old, token } = await regenerated();
    await manager.destroy(token);
    expect(await manager.get(old)).toBeUndefined();
    const other = await regenerated();
    await other.manager.destroyByUser("42");
    expect(await other.manager.get(other.old)).toBeUndefined();
  });

  test("cannot regenerate: of two racing regenerations one wins", async () => {
    const { manager, old } = await regenerated();
    expect(await manager.regenerate(old)).toBeUndefined();
    const { token } = await manager.create({ userId: "42", data: {} });
    const racing = await Promise.all(Array.from({ length: 8 }, () => manager.regenerate(token)));
    const [winner, ...others] = racing.filter((result) => result !== undefined);
    expect(others).toEqual([]);
    expect((await manager.get(token))?.id).toBe(winner?.session.id);
  });

  test("still names its session to log out everywhere else", async () => {
    const { manager, old, token, session } = await regenerated();
    const other = await manager.create({ userId: "42", data: {} });
    expect(await manager.destroyByUser("42", { except: old })).toEqual([other.session.id]);
    expect((await manager.get(token))?.id).toBe(session.id);
  });
});

describe("the grace ends", () => {
  test("to the millisecond, and is not prolonged by reading", async () => {
    const { manager, old, clock } = await regenerated();
    clock.now += grace - 1;
    expect(await manager.get(old)).toBeDefined();
    clock.now += 1;
    expect(await manager.get(old)).toBeUndefined();
    expect(await manager.destroy(old)).toBe(false);
  });

  test("on time, also when another process allows more or the store expires late", async () => {
    const { manager, store, clock } = setUp({ regenerationGrace: "1m" });
    const { token: old } = await manager.create({ userId: "42", data: {} });
    await manager.regenerate(old);
    const strict = new SessionManager({ store, sweep: false, regenerationGrace: grace });
    clock.now += grace;
    expect(await manager.get(old)).toBeDefined();
    expect(await strict.get(old)).toBeUndefined();
  });

  test("for each token separately, when a session is regenerated twice", async () => {
    const { manager, old, token: second, clock } = await regenerated();
    clock.now += 6_000;
    const { session } = present(await manager.regenerate(second));
    expect((await manager.get(old))?.id).toBe(session.id);
    clock.now += 4_000;
    expect(await manager.get(old)).toBeUndefined();
    expect((await manager.get(second))?.id).toBe(session.id);
  });

  test("after three regenerations that follow each other, for the oldest token", async () => {
    const { manager, old, token: second } = await regenerated();
    const third = present(await manager.regenerate(second));
    const fourth = present(await manager.regenerate(third.token));
    const fifth = present(await manager.regenerate(fourth.token));
    expect(await manager.get(old)).toBeUndefined();
    expect((await manager.get(second))?.id).toBe(fifth.session.id);
  });

  test("no later for a second attempt than for the first, which failed", async () => {
    const clock = { now: 1_000 };
    const model = new ModelStore(new ModelBackend(() => clock.now));
    let isDown = true;
    const store = overriding(model, (method, original) => (...args) => {
      if (method === "rename" && isDown) throw new Error("the connection was lost");
      return original(...args);
    });
    const manager = new SessionManager({ store, sweep: false, regenerationGrace: grace });
    const { token: old, session } = await manager.create({ userId: "42", data: {} });
    await expect(manager.regenerate(old)).rejects.toMatchObject({ code: "BACKEND" });
    expect(await manager.get(old)).toMatchObject({ id: session.id, isSuperseded: false });
    expect(await session.update(() => ({ n: 1 }))).toBe(true);
    isDown = false;
    clock.now += 4_000;
    const { session: fresh } = present(await manager.regenerate(old));
    expect(await manager.get(old)).toMatchObject({ id: fresh.id, isSuperseded: true });
    clock.now += 6_000;
    expect(await manager.get(old)).toBeUndefined();
  });
});

describe("there is no grace", () => {
  test("for a login: an attacker who planted the old token cannot read the session", async () => {
    const { manager } = setUp({ regenerationGrace: grace });
    const { token: planted } = await manager.create({ data: {} });
    const { token } = present(await manager.regenerate(planted, { userId: "42", grace: true }));
    expect(await manager.get(planted)).toBeUndefined();
    const { token: asAdmin } = present(await manager.regenerate(token, { userId: "admin", grace: true }));
    expect(await manager.get(token)).toBeUndefined();
    const { token: loggedOut } = present(await manager.regenerate(asAdmin, { userId: null, grace: true }));
    expect(await manager.get(asAdmin)).toBeUndefined();
    expect(await manager.get(loggedOut)).toBeDefined();
  });

  test("for a login in two steps, in either order of a new token and a new user", async () => {
    const { manager } = setUp({ regenerationGrace: grace });
    const { token: planted } = await manager.create({ data: {} });
    const { session } = present(await manager.regenerate(planted, { grace: true }));
    await session.update((data) => data, { userId: "42" });
    expect(await manager.get(planted)).toBeUndefined();

    const { token: own } = await manager.create({ userId: "mallory", data: {} });
    const fresh = present(await manager.regenerate(own));
    await fresh.session.update((data) => data, { userId: "42" });
    expect(await manager.get(own)).toBeUndefined();
    expect(await manager.destroy(own)).toBe(false);
    expect(await manager.get(fresh.token)).toBeDefined();
  });

  test("with a change of data, which may change privileges, unless the call requests it", async () => {
    const { manager } = setUp({ regenerationGrace: grace });
    const promote = { update: (data: object) => ({ ...data, isAdmin: true }) };
    const { token } = await manager.create({ userId: "42", data: {} });
    const second = present(await manager.regenerate(token, promote));
    expect(await manager.get(token)).toBeUndefined();
    await manager.regenerate(second.token, { ...promote, grace: true });
    expect((await manager.get(second.token))?.data).toEqual({ isAdmin: true });
  });

  test("when the call says grace: false", async () => {
    const { manager } = setUp({ regenerationGrace: grace });
    const { token } = await manager.create({ userId: "42", data: {} });
    await manager.regenerate(token, { grace: false });
    expect(await manager.get(token)).toBeUndefined();
  });

  test.each(["update", "save"] as const)("for a login in two steps, %s and then regenerate", async (way) => {
    const { manager, store } = setUp({ regenerationGrace: grace });
    const { token: planted, session } = await manager.create({ data: { cart: 1 } });
    if (way === "update") await session.update((data) => data, { userId: "42" });
    else await session.save({ cart: 2 }, { userId: "42" });
    await session.update((data) => ({ ...data, name: "Ada" }));
    const { token } = present(await manager.regenerate(planted, { grace: true }));
    expect(await manager.get(planted)).toBeUndefined();
    // From here on the token is the user's own.
    const { session: last } = present(await manager.regenerate(token));
    expect(await manager.get(token)).toMatchObject({ id: last.id, isSuperseded: true });
    expect((await store.get(last.id))?.payload).toMatch(/^\{"data":\{[^}]*\},"metadata":\{\}\}$/);
  });

  test("by default, and then no call of the store is added", async () => {
    const { manager, calls } = setUp();
    const { token, session } = await manager.create({ userId: "42", data: {} });
    calls.length = 0;
    await manager.regenerate(token, { grace: true });
    expect(await manager.get(token)).toBeUndefined();
    expect(await manager.destroy(token)).toBe(false);
    expect(await session.touch()).toBe(true);
    expect(await session.update(() => ({ n: 1 }))).toBe(false);
    await manager.destroyByUser("42", { except: token });
    // The last `get` tells a token from an id.
    expect(calls).toEqual(["get", "rename", "get", "destroy", "update", "get", "destroyByUser"]);
  });
});

test("a store that still reads but no longer writes the old id during a rename logs no user out", async () => {
  const model = new ModelStore();
  const store = overriding(model, (method, original) => (...args) => {
    if (method === "touch") return Promise.resolve(false);
    if (method === "update") return Promise.resolve({ status: "missing" });
    return original(...args);
  });
  const manager = new SessionManager({ store, sweep: false, regenerationGrace: grace });
  const { token, session } = await manager.create({ userId: "42", data: {} });
  await model.touch(session.id, { idleMs: minute, shorten: true });
  expect(await manager.get(token)).toBeDefined();
  expect(await session.save({ n: 1 })).toBe("superseded");
});

describe("an alias", () => {
  test("is no session: not in lists, walks, events, or by its own id", async () => {
    const { manager, session, store, clock } = await regenerated();
    const events: string[] = [];
    for (const name of ["created", "expired", "destroyed"] as const) manager.on(name, ({ id }) => events.push(id));
    const walked: string[] = [];
    for await (const { id } of manager.byId.scan()) walked.push(id);
    expect(walked).toEqual([session.id]);
    expect((await manager.listByUser("42")).map(({ id }) => id)).toEqual([session.id]);
    expect(await manager.byId.count()).toMatchObject({ sessions: 1, sessionsWithUser: 1, users: 1 });
    // The alias outlives the grace, as the mark of a moved id.
    clock.now += grace + 30_000;
    expect(await store.sweep({ limit: 10 })).toHaveLength(1);
    expect(await manager.byId.count()).toMatchObject({ sessions: 1 });
    expect(events).toEqual([]);
  });

  test("that expires or is evicted is not reported as an ended session", async () => {
    const backend = new ModelBackend(() => 1);
    let evict = (_: { id: string; userId: undefined }): void => {};
    const store: SessionStore = Object.assign(new ModelStore(backend), {
      onEvicted: (listener: typeof evict) => {
        evict = listener;
        return () => undefined;
      },
    });
    const manager = new SessionManager({ store, sweep: false, regenerationGrace: grace });
    const ended: string[] = [];
    manager.on("destroyed", ({ id }) => ended.push(id));
    const { token } = await manager.create({ userId: "42", data: {} });
    await manager.regenerate(token);
    for (const id of backend.sessions.keys()) evict({ id, userId: undefined });
    expect(backend.sessions.size).toBe(2);
    expect(ended).toHaveLength(1);
  });

  test("is bound to its id by a codec that binds payloads: moved to another id it finds no session", async () => {
    const codec: SessionCodec = {
      encode: (content, { id }) => JSON.stringify({ id, content }),
      decode: (payload, { id }) => {
        const opened = JSON.parse(payload);
        if (opened.id !== id) throw new Error("another session's payload");
        return opened.content;
      },
    };
    const { manager, backend } = onModel({ codec });
    const { token: old } = await manager.create({ userId: "42", data: { n: 1 } });
    await manager.regenerate(old);
    expect((await manager.get(old))?.data).toEqual({ n: 1 });
    const thief = await manager.create({ userId: "mallory", data: {} });
    await manager.regenerate(thief.token);
    const aliases = [...backend.sessions.values()].filter(({ id }) => id.startsWith("alias:"));
    const [mine, theirs] = aliases;
    backend.sessions.set(theirs?.id ?? "", { ...present(theirs), payload: present(mine).payload });
    await expect(manager.get(thief.token)).rejects.toMatchObject({ code: "DECODE" });
  });

  test("holds neither a token nor the user", async () => {
    const { manager, backend } = onModel();
    const { token: old } = await manager.create({ userId: "user-4711", data: {} });
    const { token } = present(await manager.regenerate(old));
    const [alias] = [...backend.sessions.values()].filter(({ id }) => id.startsWith("alias:"));
    const text = JSON.stringify(present(alias));
    for (const secret of [old, token, "user-4711"]) expect(text).not.toContain(secret);
    expect(alias).toMatchObject({ userId: undefined });
  });

  test("that is full gives one more racing regeneration no grace, and keeps the others' grace", async () => {
    const { manager, calls } = setUp({ regenerationGrace: grace });
    const { token } = await manager.create({ userId: "42", data: {} });
    calls.length = 0;
    const racing = await Promise.all(Array.from({ length: 30 }, () => manager.regenerate(token)));
    expect(racing.filter((result) => result !== undefined)).toHaveLength(1);
    expect(calls.filter((call) => call === "update").length).toBeLessThan(30 * 8);
  });
});

describe("a failed regeneration leaves the old token as it was", () => {
  test("an update that cannot be stored, an unreachable store", async () => {
    const { manager } = setUp({ regenerationGrace: grace });
    const { token } = await manager.create({ userId: "42", data: { n: 1 } });
    const cycle = (): Record<string, unknown> => {
      const data: Record<string, unknown> = {};
      data.self = data;
      return data;
    };
    await expect(manager.regenerate(token, { update: cycle, grace: true })).rejects.toSatisfy((error) =>
      isSessionError(error, "ENCODE"),
    );
    const session = present(await manager.get(token));
    expect(session.isSuperseded).toBe(false);
    expect(await session.update(() => ({ n: 2 }))).toBe(true);
  });

  test.each([-1, "6m", "soon"])("and %s is no grace", (regenerationGrace) => {
    expect(() => setUp({ regenerationGrace: regenerationGrace as number })).toThrow(/regenerationGrace/);
  });
});

describe("under every interleaving", () => {
  const renamed = (from: string, to: string): Operation => ({
    name: `rename ${from} to ${to}`,
    verb: "rename",
    run: async (store) => (await managerOf(store).byId.rename(from, to))?.id,
  });
  const read: Operation = {
    name: "get a",
    verb: "get",
    run: async (store) => {
      const session = await managerOf(store).byId.get("a");
      return session && { id: session.id, n: session.data.n };
    },
  };
  const ended: Operation = { name: "destroy a", verb: "destroy", run: (store) => managerOf(store).byId.destroy("a") };
  const endedThenRead: Operation = {
    name: "destroy a, then get a",
    verb: "destroy",
    run: async (store) => {
      const manager = managerOf(store);
      await manager.byId.destroy("a");
      return await manager.byId.get("a");
    },
  };
  const everywhere: Operation = {
    name: "destroyByUser, then get a",
    verb: "destroy",
    run: async (store) => {
      const manager = managerOf(store);
      await manager.destroyByUser("42");
      return await manager.byId.get("a");
    },
  };
  const login: Operation = {
    name: "login b as somebody else",
    verb: "rename",
    run: async (store) => (await managerOf(store).byId.rename("b", "c", { userId: "43" }))?.id,
  };

  test.each([
    ["a read and a regeneration", [renamed("a", "b"), read]],
    ["a read and two regenerations", [renamed("a", "b"), renamed("a", "c"), read]],
    ["a read and one regeneration after the other", [renamed("a", "b"), renamed("b", "c"), read]],
    ["a logout, a read and a regeneration", [renamed("a", "b"), ended, read]],
    ["a logout and two regenerations", [renamed("a", "b"), renamed("a", "c"), endedThenRead]],
    ["a logout and one regeneration after the other", [renamed("a", "b"), renamed("b", "c"), endedThenRead]],
    ["a log-out everywhere and a regeneration", [renamed("a", "b"), everywhere, read]],
    ["a login after the regeneration", [renamed("a", "b"), login, read]],
  ] as const)("%s: no read loses the session, no logout misses it", async (name, operations) => {
    await explore(
      {
        name,
        arrange: async (store) => {
          const session = await managerOf(store).byId.create("a", { userId: "42", data: { n: 1 } });
          // The first read is due for a touch, and takes two steps.
          await session?.touch({ idleMs: 27 * minute, shorten: true });
        },
        operations,
        ids: ["a", "b", "c"],
        users: ["42", "43"],
      },
      () => {
        const backend = new ModelBackend(() => 1_700_000_000_000);
        return { connect: (step) => steppedStore(new ModelStore(backend), step) };
      },
      // All that there are, but for the two longest, which have 7,663 and 17,962.
      { sample: { schedules: 4_000 } },
    );
  });
});

/** The manager of a node of its own. */
function managerOf(store: SessionStore): SessionManager {
  return new SessionManager({ store, sweep: false, regenerationGrace: minute });
}

function onModel(options: Partial<SessionManagerOptions> = {}): Pick<Fixture, "manager"> & { backend: ModelBackend } {
  const backend = new ModelBackend();
  const store = new ModelStore(backend);
  return { backend, manager: new SessionManager({ store, sweep: false, regenerationGrace: grace, ...options }) };
}
