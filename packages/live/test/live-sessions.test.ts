import { MemoryBus, type Session, SessionManager } from "@sojourn/core";
import { decorate, SessionError } from "@sojourn/core/adapter";
import { type CloseReason, LiveSessions } from "@sojourn/live";
import { MemoryStore } from "@sojourn/memory";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Node, openPair, settled } from "./support.js";

/** Adds a connection, and returns it with the reasons of its closes. */
function connect({ live }: Node, session: Pick<Session, "id" | "userId">) {
  const closes: CloseReason[] = [];
  const connection = live.add(session, ({ code, reason }) => {
    expect(code).toBe(4401);
    closes.push(reason);
  });
  return { connection, closes };
}

describe("an end on another node closes the connection", () => {
  test("by a logout; connections of other sessions stay open", async () => {
    const { here, there } = openPair();
    const { token, session } = await there.sessions.create({ userId: "42", data: {} });
    const other = await there.sessions.create({ userId: "42", data: {} });
    const [first, second, kept] = [connect(here, session), connect(here, session), connect(here, other.session)];
    await settled();
    await there.sessions.destroy(token);
    expect([first.closes, second.closes, kept.closes]).toEqual([["ended"], ["ended"], []]);
    expect([first.connection.isOpen, kept.connection.isOpen]).toEqual([false, true]);
    expect(here.live.statistics()).toMatchObject({ connections: 1, sessions: 1, closed: 2, isConnected: true });
  });

  test("by a login beyond the session limit", async () => {
    const { here, there } = openPair({ sessionLimit: { max: 1, whenReached: "evictOldest" } });
    const { session } = await there.sessions.create({ userId: "42", data: {} });
    const { closes } = connect(here, session);
    await settled();
    await there.sessions.create({ userId: "42", data: {} });
    expect(closes).toEqual(["ended"]);
  });

  test("by a clear, which names no session", async () => {
    const { here, there } = openPair();
    const { closes } = connect(here, (await there.sessions.create()).session);
    await settled();
    await there.sessions.byId.clear();
    await settled();
    expect(closes).toEqual(["ended"]);
  });
});

test("an end on this node closes the connection without a message of the bus", async () => {
  const sessions = new SessionManager({ store: new MemoryStore() });
  const live = new LiveSessions({ sessions, bus: new MemoryBus() });
  const { token, session } = await sessions.create({ userId: "42", data: {} });
  const { connection, closes } = connect({ sessions, live }, session);
  const moved = await sessions.regenerate(token);
  expect(connection.id).toBe(moved?.session.id);
  await sessions.destroyByUser("42");
  expect(closes).toEqual(["ended"]);
  live.close();
  await sessions.close();
});

test("at a regenerate the connection moves to the new id, and closes when that one ends", async () => {
  const { here, there } = openPair();
  const { token, session } = await there.sessions.create({ userId: "42", data: {} });
  const { connection, closes } = connect(here, session);
  await settled();
  const moved = await there.sessions.regenerate(token, { authenticated: true });
  await settled();
  expect(connection).toMatchObject({ id: moved?.session.id, userId: "42", isOpen: true });
  expect(here.live.statistics()).toMatchObject({ connections: 1, sessions: 1, moved: 1 });
  await there.sessions.destroy(moved?.token ?? "");
  expect(closes).toEqual(["ended"]);
});

test("a regenerate while the old id is being read moves the connection, whatever that read answers", async () => {
  const { there, bus } = openPair();
  const { token, session } = await there.sessions.create({ userId: "42", data: {} });
  const answers: (() => void)[] = [];
  const locate = async (id: string) => {
    const found = await there.sessions.byId.locate(id);
    if (id === session.id) await new Promise<void>((resolve) => answers.push(resolve));
    return id === session.id ? undefined : found;
  };
  const { sessions } = there;
  const live = new LiveSessions({ sessions: { byId: { locate }, on: sessions.on.bind(sessions) }, bus });
  onTestFinished(() => live.close());
  const { connection, closes } = connect({ sessions, live }, session);
  await settled();
  const moved = await sessions.regenerate(token);
  for (const answer of answers) answer();
  await settled();
  expect([answers.length, connection.id, closes]).toEqual([1, moved?.session.id, []]);
});

describe("a change of the user closes the connection", () => {
  test("at a login: the socket of a planted token does not pass to the user who logs in", async () => {
    const { here, there } = openPair();
    const planted = await there.sessions.create();
    const { closes } = connect(here, planted.session);
    await settled();
    await there.sessions.regenerate(planted.token, { userId: "42", authenticated: true });
    await settled();
    expect(closes).toEqual(["userChanged"]);
  });

  test.each(["there", "here"] as const)("in place, by a write %s; a write of data leaves it open", async (place) => {
    const pair = openPair();
    const { token, session } = await pair.there.sessions.create();
    const { closes } = connect(pair.here, session);
    await settled();
    await pair[place].sessions.update(token, (data) => ({ ...data, views: 1 }));
    await settled();
    expect(closes).toEqual([]);
    await pair[place].sessions.update(token, (data) => data, { userId: "42" });
    await settled();
    expect(closes).toEqual(["userChanged"]);
  });

  test("but not that of a connection which was added after the change", async () => {
    const { here, there } = openPair();
    const { token, session } = await there.sessions.create();
    const before = connect(here, session);
    const changed = await there.sessions.update(token, (data) => data, { userId: "42" });
    const after = connect(here, changed ?? session);
    await settled();
    expect([before.closes, after.closes]).toEqual([["userChanged"], []]);
  });
});

describe("a logout during the upgrade", () => {
  /** The session is read, ends on another node, and only then its connection is added. */
  async function logOutMeanwhile(here: Node, there: Node) {
    const { token } = await there.sessions.create();
    const session = await here.sessions.get(token);
    if (session === undefined) throw new Error("the session was created");
    await there.sessions.destroy(token);
    const { closes } = connect(here, session);
    await settled();
    return closes;
  }

  test("closes the connection", async () => {
    const { here, there } = openPair();
    expect(await logOutMeanwhile(here, there)).toEqual(["ended"]);
  });

  test("control: without a read after the registration it stays open", async () => {
    const { here, there, bus } = openPair();
    const { sessions } = here;
    const locate = async (id: string) => ({ id, userId: undefined, remainingMs: 60_000 });
    const live = new LiveSessions({ sessions: { byId: { locate }, on: sessions.on.bind(sessions) }, bus });
    onTestFinished(() => live.close());
    expect(await logOutMeanwhile({ sessions, live }, there)).toEqual([]);
    expect(live.statistics()).toMatchObject({ connections: 1, closed: 0 });
  });
});

describe("when the bus was away", () => {
  test.each([
    ["down and up", ["down", "up"]],
    ["a gap", ["gap"]],
  ] as const)("%s: sessions that ended meanwhile are noticed", async (_name, states) => {
    const { here, there, bus } = openPair();
    const [ended, kept] = [await there.sessions.create(), await there.sessions.create()];
    const [first, second] = [connect(here, ended.session), connect(here, kept.session)];
    await settled();
    bus.isDeaf = true;
    await there.sessions.destroy(ended.token);
    await settled();
    expect(first.closes).toEqual([]);
    bus.isDeaf = false;
    for (const state of states) bus.turn(state);
    await settled();
    expect([first.closes, second.closes]).toEqual([["ended"], []]);
  });

  test("a session regenerated meanwhile is found under its new id within the grace", async () => {
    const { here, there, bus } = openPair({ regenerationGrace: "10s" });
    const { token, session } = await there.sessions.create({ userId: "42", data: {} });
    const { connection, closes } = connect(here, session);
    await settled();
    bus.turn("down");
    expect(here.live.statistics().isConnected).toBe(false);
    const moved = await there.sessions.regenerate(token);
    bus.turn("up");
    await settled();
    expect([connection.id, closes]).toEqual([moved?.session.id, []]);
  });

  test("no security event reports the reads of ended sessions", async () => {
    const { here, there, bus } = openPair();
    const reported: unknown[] = [];
    here.sessions.on("security", (event) => reported.push(event));
    const created = await Promise.all(Array.from({ length: 50 }, () => there.sessions.create()));
    for (const { session } of created) connect(here, session);
    bus.turn("down");
    await Promise.all(created.map(({ token }) => there.sessions.destroy(token)));
    bus.turn("up");
    await settled();
    expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0, closed: 50 });
    expect(reported).toEqual([]);
  });
});

describe("by time", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("a session that expires closes its connection; one that is used elsewhere does not", async () => {
    const { here, there } = openPair({ idleTimeout: "10m", touchAfter: "1s" });
    const before = vi.getTimerCount();
    const [unused, used] = [await there.sessions.create(), await there.sessions.create()];
    const [first, second] = [connect(here, unused.session), connect(here, used.session)];
    await vi.advanceTimersByTimeAsync(540_000);
    await there.sessions.touch(used.token);
    await vi.advanceTimersByTimeAsync(59_000);
    expect(first.closes).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_100);
    expect([first.closes, second.closes]).toEqual([["expired"], []]);
    await vi.advanceTimersByTimeAsync(540_000);
    expect(second.closes).toEqual(["expired"]);
    expect(vi.getTimerCount()).toBe(before);
  });

  test("an end that no message told is noticed within maxStale", async () => {
    const { here, there, bus } = openPair({ maxStale: "30s" });
    const { token, session } = await there.sessions.create();
    const { closes } = connect(here, session);
    await vi.advanceTimersByTimeAsync(1_000);
    bus.isDeaf = true;
    await there.sessions.destroy(token);
    await vi.advanceTimersByTimeAsync(28_000);
    expect(closes).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(closes).toEqual(["ended"]);
  });

  test("a store that does not answer closes nothing, and is asked again", async () => {
    const memory = new MemoryStore();
    let isDown = false;
    const store = decorate(memory, {
      get: async (...input) => {
        if (isDown) throw new SessionError("UNAVAILABLE", "down");
        return memory.get(...input);
      },
    });
    const sessions = new SessionManager({ store });
    const live = new LiveSessions({ sessions, bus: new MemoryBus(), maxStale: "30s" });
    const errors: string[] = [];
    sessions.on("error", ({ error }) => errors.push(error.code));
    const { session } = await sessions.create();
    isDown = true;
    const { closes } = connect({ sessions, live }, session);
    await vi.advanceTimersByTimeAsync(100_000);
    // At 0, 1, 3, 7, 15, 31, 61 and 91 seconds.
    expect([closes, errors]).toEqual([[], Array(8).fill("UNAVAILABLE")]);
    await memory.destroy(session.id);
    isDown = false;
    await vi.advanceTimersByTimeAsync(30_000);
    expect(closes).toEqual(["ended"]);
    live.close();
    await sessions.close();
  });

  test("no timer keeps the process alive or outlives its connection", async () => {
    const { here, there } = openPair({ maxStale: 54_321 });
    const before = vi.getTimerCount();
    const timers = vi.spyOn(globalThis, "setTimeout");
    const created = await Promise.all(Array.from({ length: 20 }, () => there.sessions.create()));
    const connections = created.map(({ session }) => connect(here, session).connection);
    await vi.advanceTimersByTimeAsync(60_000);
    const own = timers.mock.results.filter((_result, index) => timers.mock.calls[index]?.[1] === 54_321);
    expect(own).toHaveLength(40);
    expect(own.map(({ value }) => value.hasRef())).toEqual(Array(40).fill(false));
    expect(vi.getTimerCount()).toBe(before + 20);
    for (const connection of connections) connection.remove();
    expect(vi.getTimerCount()).toBe(before);
    expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0, closed: 0 });
  });
});

test("a close function that throws does not keep other connections open", async () => {
  const { here, there } = openPair();
  const { token, session } = await there.sessions.create();
  const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
  here.live.add(session, () => {
    throw new Error("broken");
  });
  const { closes } = connect(here, session);
  await there.sessions.destroy(token);
  expect(closes).toEqual(["ended"]);
  expect((await warned).message).toBe("@sojourn/live: a connection could not be closed: broken");
});

test("ended: all ends of all nodes are told, until the subscription ends", async () => {
  const { here, there } = openPair();
  const told: string[] = [];
  const stop = here.live.on("ended", ({ id }) => told.push(id));
  const created = [await there.sessions.create(), await here.sessions.create(), await there.sessions.create()];
  for (const { token } of created.slice(0, 2)) await there.sessions.destroy(token);
  stop();
  await there.sessions.destroy(created[2]?.token ?? "");
  expect(told).toEqual(created.slice(0, 2).map(({ session }) => session.id));
});

test("close: nothing is watched any more, and nothing can be added", async () => {
  const { here, there } = openPair();
  const { token, session } = await there.sessions.create();
  const { connection, closes } = connect(here, session);
  here.live.close();
  here.live.close();
  await there.sessions.destroy(token);
  await settled();
  expect([closes, connection.isOpen]).toEqual([[], false]);
  expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0 });
  expect(() => connect(here, session)).toThrow(expect.objectContaining({ code: "CLOSED" }));
});

test("mistakes are answered", async () => {
  const { here, bus } = openPair();
  const { sessions, live } = here;
  const open = (options: object) => () => new LiveSessions(options as never);
  expect(open({ sessions })).toThrow('@sojourn/live: option "bus" must be a session bus, received undefined');
  expect(open({ sessions: {}, bus })).toThrow('@sojourn/live: option "sessions" must be a SessionManager');
  expect(open({ sessions, bus, origin: [] })).toThrow('"origins"');
  expect(open({ sessions, bus, origins: ["https://shop.example/"] })).toThrow(
    'option "origins" must be a list of origins',
  );
  expect(open({ sessions, bus, maxStale: "30" })).toThrow('option "maxStale"');
  const { session } = await sessions.create();
  expect(() => live.add({ id: undefined } as never, () => {})).toThrow("the session has no id");
  expect(() => live.add(session, {} as never)).toThrow(
    "expected a WebSocket, a socket.io socket, a response or a function",
  );
  expect(() => live.on("destroyed" as never, () => {})).toThrow('the event is "ended", received "destroyed"');
  expect(live.statistics().connections).toBe(0);
});

describe("the origin of a request", () => {
  const shop = { host: "shop.example", origin: "https://shop.example" };

  test.each([
    ["the same host", shop, true],
    ["the same host and port", { host: "localhost:3000", origin: "http://localhost:3000" }, true],
    ["no page", { host: "shop.example" }, true],
    ["another host", { ...shop, origin: "https://evil.example" }, false],
    ["another port", { ...shop, origin: "https://shop.example:8443" }, false],
    ["a sandboxed page", { ...shop, origin: "null" }, false],
    ["a request without a host", { origin: "https://shop.example" }, false],
  ])("%s", (_name, headers, expected) => {
    expect(openPair().here.live.isAllowedOrigin({ headers })).toBe(expected);
  });

  test.each([
    [{ host: "internal:3000", origin: "https://shop.example" }, true],
    [{ host: "shop.example", origin: "http://shop.example" }, false],
    [{ host: "shop.example" }, true],
  ])("%j, with a list of origins", (headers, expected) => {
    expect(openPair({ origins: ["https://shop.example"] }).here.live.isAllowedOrigin({ headers })).toBe(expected);
  });
});
