import { deserialize, serialize } from "node:v8";
import { describe, expect, test } from "vitest";
import { HttpSessions, type HttpSessionsOptions, LazySession, type RequestSession } from "../src/bridge/index.js";
import { SessionError, type SessionManagerOptions, tokenToId } from "../src/index.js";
import { nextRequest, secret, type TestRequest, TestResponse, testFramework } from "./http-support.js";
import { overriding, setUp } from "./support.js";

/* The contract between the bridge room and a bridge. packages/bridges/fastify/test has the flows over real HTTP. */

type Session = RequestSession<Record<string, unknown>, TestRequest, TestResponse>;

const visitor: TestRequest = { headers: {}, ip: "10.0.0.1" };
const down = new SessionError("UNAVAILABLE", "connect ECONNREFUSED 10.0.0.7:6379");

class Fixture {
  readonly calls: string[] = [];
  readonly ipReads: TestRequest[] = [];
  readonly sessions: HttpSessions<TestRequest, TestResponse>;
  fault: SessionError | undefined;
  /** The method of the store that alone fails. */
  failing: string | undefined;

  constructor(options: Partial<SessionManagerOptions> = {}) {
    const store = overriding(setUp().store, (method, original) => (...args) => {
      this.calls.push(method);
      if (method === this.failing) return Promise.reject(down);
      return this.fault === undefined ? original(...args) : Promise.reject(this.fault);
    });
    const all = { store, sweep: false, secret, ...options } as HttpSessionsOptions<TestRequest>;
    this.sessions = new HttpSessions(testFramework(this.ipReads), all);
    this.calls.length = 0;
  }

  async open(request: TestRequest): Promise<Session> {
    // The test states the type of its data.
    return (await this.sessions.open(request)) as Session;
  }

  /** Stores a session, and returns the next request of its browser. */
  async visit(): Promise<TestRequest> {
    const response = new TestResponse();
    const session = await this.open(visitor);
    session.data.name = "Ann";
    await session.finish(response);
    this.calls.length = 0;
    return { ...visitor, ...nextRequest(response) };
  }
}

describe("several cookies of one name, as after a release that has changed the path", () => {
  /** Joins the cookies of two requests. */
  const both = (first: TestRequest, second: TestRequest): TestRequest => ({
    ...first,
    headers: { cookie: `${first.headers.cookie}; ${second.headers.cookie}` },
  });

  test("the one that finds a session is used, in either order, and an event says so", async () => {
    const fixture = new Fixture();
    const events: unknown[] = [];
    fixture.sessions.manager.on("security", ({ kind, source }) => events.push([kind, source]));
    const [old, live] = [await fixture.visit(), await fixture.visit()];
    await (await fixture.open(old)).destroy();
    for (const request of [both(old, live), both(live, old)]) {
      const session = await fixture.open(request);
      expect([session.data, session.isNew, session.expired]).toEqual([{ name: "Ann" }, false, false]);
    }
    expect(events).toEqual([["severalTokens", visitor.ip]]);
  });

  test("none is used if several find one: it could be the session of an attacker", async () => {
    const fixture = new Fixture();
    const request = both(await fixture.visit(), await fixture.visit());
    expect((await fixture.open(request)).isNew).toBe(true);
  });
});

describe("open", () => {
  test("needs no store call and no promise for a request without a token", async () => {
    const { sessions, calls } = new Fixture();
    expect(sessions.tokensOf(visitor)).toEqual([]);
    const session = sessions.openNew(visitor);
    expect([session.isNew, session.finish(new TestResponse()), calls]).toEqual([true, undefined, []]);
  });

  test("loads the session of a token, and finish has nothing to do when it was only read", async () => {
    const fixture = new Fixture();
    const request = await fixture.visit();
    const session = await fixture.open(request);
    expect(session.data).toEqual({ name: "Ann" });
    expect(session.finish(new TestResponse())).toBeUndefined();
    expect(fixture.calls).toEqual(["get"]);
  });

  test("reads the client's address only when the manager asks for it", async () => {
    const plain = new Fixture();
    await plain.open(await plain.visit());
    expect(plain.ipReads).toEqual([]);
    const bound = new Fixture({ binding: { address: true, onMismatch: "reject" } });
    const request = await bound.visit();
    expect((await bound.open(request)).isNew).toBe(false);
    expect((await bound.open({ ...request, ip: "192.0.2.1" })).isNew).toBe(true);
    expect(bound.ipReads).toContain(request);
  });

  test("rejects with a statusCode and a message that does not describe the backend", async () => {
    const fixture = new Fixture();
    const request = await fixture.visit();
    fixture.fault = down;
    await expect(fixture.open(request)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      statusCode: 503,
      message: "Sessions are not available at the moment",
      cause: down,
    });
  });
});

describe("expired", () => {
  test("is true when the request brought a token whose session has ended, and false otherwise", async () => {
    const fixture = new Fixture();
    const request = await fixture.visit();
    const live = await fixture.open(request);
    expect([(await fixture.open(visitor)).expired, live.expired]).toEqual([false, false]);
    await live.destroy();
    const late = await fixture.open(request);
    expect([late.expired, late.isNew, live.expired]).toEqual([true, true, false]);
    expect((await fixture.open({ headers: { cookie: "__Host-session=forged" } })).expired).toBe(false);
  });
});

describe("a login that is to be remembered", () => {
  const rememberMe = { idleTimeout: "30d", absoluteTimeout: "60d", persistent: true } as const;
  const maxAgeOf = ({ headers }: TestResponse): string | undefined =>
    /Max-Age=\d+/.exec(headers.getSetCookie()[0] ?? "")?.[0];

  test.each(["a visitor", "a visitor with a session", "a visitor whose session has ended"])(
    "of %s sends a persistent cookie, and so does each later token",
    async (who) => {
      const fixture = new Fixture();
      const request = who === "a visitor" ? visitor : await fixture.visit();
      const session = await fixture.open(request);
      if (who.endsWith("ended")) await session.destroy();
      await session.regenerate({ userId: "ann", ...rememberMe });
      const response = new TestResponse();
      await session.finish(response);
      expect(maxAgeOf(response)).toBe(`Max-Age=${60 * 86_400}`);
      const next = await fixture.open(nextRequest(response));
      next.data.more = true;
      await next.save();
      await next.regenerate();
      const later = new TestResponse();
      await next.finish(later);
      expect(maxAgeOf(later)).toBe(`Max-Age=${60 * 86_400}`);
    },
  );
});

describe("finish", () => {
  test("sends no token of a session that was not stored, and does not save again for the response to the error", async () => {
    const fixture = new Fixture();
    const session = await fixture.open(visitor);
    session.data.name = "Ann";
    fixture.fault = down;
    const [response, errorResponse] = [new TestResponse(), new TestResponse()];
    await expect(session.finish(response)).rejects.toMatchObject({ statusCode: 503 });
    await session.finish(errorResponse);
    expect([[...response.headers], [...errorResponse.headers], fixture.calls]).toEqual([[], [], ["create"]]);
  });

  test("sends the token of a login even if the save after it fails", async () => {
    const fixture = new Fixture();
    const session = await fixture.open(await fixture.visit());
    await session.regenerate({ userId: "ann" });
    session.data.name = "Bob";
    fixture.fault = down;
    const response = new TestResponse();
    await expect(session.finish(response)).rejects.toMatchObject({ statusCode: 503 });
    fixture.fault = undefined;
    const next = await fixture.open(nextRequest(response));
    expect([next.userId, next.data]).toEqual(["ann", { name: "Ann" }]);
  });
});

describe("a late request, with a token that a login has regenerated", () => {
  async function late(options: Partial<SessionManagerOptions> = {}, login: object = { userId: "ann" }) {
    const fixture = new Fixture(options);
    const request = await fixture.visit();
    const user = await fixture.open(request);
    await user.regenerate(login);
    const conflicts: unknown[] = [];
    fixture.sessions.manager.on("conflict", ({ at: _, ...event }) => conflicts.push(event));
    const calls = [...fixture.calls];
    fixture.calls.length = 0;
    return { fixture, request, user, calls, conflicts };
  }

  test("begins no session, and sends no cookie", async () => {
    const { fixture, request, calls, conflicts } = await late();
    expect(calls).toEqual(["get", "create", "get", "rename"]);
    const session = await fixture.open(request);
    expect([session.isNew, session.expired]).toEqual([true, true]);
    session.data.name = "late";
    const response = new TestResponse();
    await session.finish(response);
    expect([[...response.headers], session.hasEnded, fixture.calls]).toEqual([[], true, ["get", "get"]]);
    expect(conflicts).toEqual([{ id: tokenToId(fixture.sessions.tokensOf(request)[0] ?? ""), reason: "moved" }]);
  });

  test.each([
    ["save", (session: Session) => session.save()],
    ["update", (session: Session) => session.update((data) => data)],
    ["regenerate", (session: Session) => session.regenerate()],
  ])("learns it from %s", async (_name, write) => {
    const { fixture, request, conflicts } = await late();
    const session = await fixture.open(request);
    expect(await write(session)).toBe(false);
    expect([session.hasEnded, conflicts.length]).toEqual([true, 1]);
  });

  test("can still log in", async () => {
    const { fixture, request } = await late();
    const session = await fixture.open(request);
    expect(await session.regenerate({ userId: "bob" })).toBe(true);
    expect(session.userId).toBe("bob");
  });

  test("that only reads asks the store once", async () => {
    const { fixture, request } = await late();
    const session = await fixture.open(request);
    expect([session.data, session.finish(new TestResponse())]).toEqual([{}, undefined]);
    expect(fixture.calls).toEqual(["get"]);
  });

  test.each([
    ["anonymous, where there is a grace for others", { regenerationGrace: "10s" } as const, { userId: "ann" }],
    ["told that it has no grace", { regenerationGrace: "10s" } as const, { userId: "ann", grace: false }],
  ])("is recognised if its session was %s", async (_name, options, login) => {
    const { fixture, request } = await late(options, login);
    const session = await fixture.open(request);
    expect([session.isNew, await session.save()]).toEqual([true, false]);
  });

  test("is no session in lists, walks, limits and statistics", async () => {
    const { fixture, user } = await late({ sessionLimit: { max: 1, whenReached: "reject" } });
    const { manager } = fixture.sessions;
    const walked = [];
    for await (const { id } of manager.byId.scan()) walked.push(id);
    expect([walked, (await manager.listByUser("ann")).map(({ id }) => id)]).toEqual([[user.id], [user.id]]);
    // The two loads: of the visitor, and of no session by nobody else.
    expect(await manager.stats()).toMatchObject({ hits: 1, misses: 0 });
  });
});

test("a mark that cannot be written fails no login", async () => {
  const fixture = new Fixture();
  const request = await fixture.visit();
  const session = await fixture.open(request);
  fixture.failing = "create";
  expect(await session.regenerate({ userId: "ann" })).toBe(true);
});

describe("a request whose token another request has regenerated, within the grace", () => {
  async function superseded() {
    const fixture = new Fixture({ regenerationGrace: "10s" });
    const login = new TestResponse();
    const visit = await fixture.open(visitor);
    await visit.regenerate({ userId: "ann" });
    visit.data.name = "Ann";
    await visit.finish(login);
    const request = nextRequest(login);
    const [winner, loser] = [await fixture.open(request), await fixture.open(request)];
    const conflicts: string[] = [];
    fixture.sessions.manager.on("conflict", ({ reason }) => conflicts.push(reason));
    await winner.regenerate();
    return { fixture, request, winner, loser, conflicts };
  }

  test("reads on when it wants to regenerate, too, and sends no token", async () => {
    const { winner, loser } = await superseded();
    expect(loser.isSuperseded).toBe(false);
    expect(await loser.regenerate()).toBe(true);
    expect(loser).toMatchObject({
      isSuperseded: true,
      hasEnded: false,
      id: winner.id,
      userId: "ann",
      data: { name: "Ann" },
    });
    const response = new TestResponse();
    await loser.finish(response);
    expect([...response.headers]).toEqual([]);
  });

  test.each([
    ["save", (session: Session) => session.save()],
    ["update", (session: Session) => session.update((data) => ({ ...data, name: "Bob" }))],
  ])("drops the changes of %s with one event, and shows what is stored", async (_name, write) => {
    const { winner, loser, conflicts } = await superseded();
    loser.data.name = "Bob";
    expect(await write(loser)).toBe(false);
    expect([loser.isSuperseded, loser.hasEnded, loser.data]).toEqual([true, false, { name: "Ann" }]);
    await loser.finish(new TestResponse());
    expect(conflicts).toEqual(["superseded"]);
    expect(await winner.reload()).toBe(true);
    expect(winner.data).toEqual({ name: "Ann" });
  });

  test("that was opened after it drops its changes at the end, and can log out", async () => {
    const { fixture, request, winner, conflicts } = await superseded();
    const late = await fixture.open(request);
    expect(late.isSuperseded).toBe(true);
    late.data.name = "Bob";
    const response = new TestResponse();
    await late.finish(response);
    expect([conflicts, [...response.headers], late.hasEnded]).toEqual([["superseded"], [], false]);
    expect(await late.destroy()).toBe(true);
    expect(await winner.reload()).toBe(false);
  });

  test("has ended after the logout", async () => {
    const { winner, loser } = await superseded();
    expect(await loser.regenerate()).toBe(true);
    expect(await winner.destroy()).toBe(true);
    expect(await loser.reload()).toBe(false);
    expect([loser.hasEnded, loser.isSuperseded]).toEqual([true, false]);
  });
});

describe("once the head of the response is sent", () => {
  async function answered(fixture: Fixture, request: TestRequest): Promise<Session> {
    const session = await fixture.open(request);
    const response = new TestResponse();
    await session.finish(response);
    response.isHeadSent = true;
    return session;
  }
  const refusal = { code: "NOT_SUPPORTED", message: expect.stringContaining("the response has begun") };

  test("a login is refused, and the session keeps its token", async () => {
    const fixture = new Fixture();
    const request = await fixture.visit();
    const session = await answered(fixture, request);
    await expect(session.regenerate({ userId: "ann" })).rejects.toMatchObject(refusal);
    expect((await fixture.open(request)).data).toEqual({ name: "Ann" });
    expect(await fixture.sessions.manager.listByUser("ann")).toEqual([]);
  });

  test("a new session is refused, and nothing is stored", async () => {
    const fixture = new Fixture();
    const session = await answered(fixture, visitor);
    session.data.name = "late";
    await expect(session.save()).rejects.toMatchObject(refusal);
    await expect(session.update((data) => data)).rejects.toMatchObject(refusal);
    expect(fixture.calls).toEqual([]);
  });

  test("a stored session can still be saved, updated and destroyed", async () => {
    const fixture = new Fixture();
    const request = await fixture.visit();
    const session = await answered(fixture, request);
    session.data.name = "late";
    expect(await session.save()).toBe(true);
    expect(await session.update((data) => ({ ...data, more: true }))).toBe(true);
    expect((await fixture.open(request)).data).toEqual({ name: "late", more: true });
    expect(await session.destroy()).toBe(true);
    expect((await fixture.open(request)).isNew).toBe(true);
  });
});

test("a request that is read-only for a reason refuses each write with this reason", async () => {
  const fixture = new Fixture();
  const request = { ...(await fixture.visit()), readOnlyReason: "a socket can only read its session" };
  const session = await fixture.open(request);
  expect(() => Object.assign(session.data, { name: "Bob" })).toThrow(TypeError);
  const writes = [session.save(), session.update((data) => data), session.regenerate(), session.destroy()];
  for (const write of writes) {
    await expect(write).rejects.toMatchObject({
      code: "NOT_SUPPORTED",
      message: "test-framework: a socket can only read its session",
    });
  }
  expect(fixture.calls).toEqual(["get"]);
});

test("a change after the end of the session says so", async () => {
  const fixture = new Fixture();
  const session = await fixture.open(await fixture.visit());
  await session.destroy();
  const message = "test-framework: the session has ended, so its data cannot be changed";
  expect(() => Object.assign(session.data, { name: "Bob" })).toThrow(new TypeError(message));
  expect(() => session.flash("info", "lost")).toThrow(message);
});

test("a codec's Date stays a Date, assigned and changed in place, as it does in update(fn)", async () => {
  const codec = {
    encode: (content: unknown) => serialize(content).toString("base64"),
    decode: (payload: string): unknown => deserialize(Buffer.from(payload, "base64")),
  };
  const fixture = new Fixture({ codec });
  const response = new TestResponse();
  const session = await fixture.open(visitor);
  session.data.assigned = new Date(0);
  await session.update((data) => ({ ...data, updated: new Date(0) }));
  await session.finish(response);
  const request = nextRequest(response);
  const next = await fixture.open(request);
  expect(next.data).toEqual({ assigned: new Date(0), updated: new Date(0) });
  for (const at of Object.values(next.data)) (at as Date).setTime(1);
  await next.finish(new TestResponse());
  expect((await fixture.open(request)).data).toEqual({ assigned: new Date(1), updated: new Date(1) });
});

describe("a lazy session", () => {
  test("is loaded once, when it is first asked for", async () => {
    const fixture = new Fixture();
    const lazy = new LazySession(fixture.sessions, await fixture.visit());
    expect([lazy.loaded, lazy.finish(new TestResponse()), fixture.calls]).toEqual([undefined, undefined, []]);
    const [first, second] = await Promise.all([lazy.open(), lazy.open()]);
    expect([first === second, first === lazy.loaded, fixture.calls]).toEqual([true, true, ["get"]]);
  });

  test("whose load has failed has nothing to save", async () => {
    const fixture = new Fixture();
    const lazy = new LazySession(fixture.sessions, await fixture.visit());
    fixture.fault = down;
    await expect(lazy.open()).rejects.toMatchObject({ statusCode: 503 });
    expect(lazy.finish(new TestResponse())).toBeUndefined();
  });
});
