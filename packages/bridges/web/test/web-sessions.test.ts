import { RequestCookies, ResponseCookies } from "@edge-runtime/cookies";
import { SessionError, SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { overriding } from "@sojourn/test-fixtures";
import { H3, toResponse } from "h3";
import { Hono } from "hono";
import { expect, expectTypeOf, onTestFinished, test } from "vitest";
import {
  type CookieJar,
  type RequestSession,
  type WebSessions,
  type WebSessionsOptions,
  webSessions,
} from "../src/index.js";

/* The flows of all frameworks are in tests/bridges.test.ts. */

interface Data {
  views: number;
}

const down = new SessionError("UNAVAILABLE", "connect ECONNREFUSED 10.0.0.7:6379");

function setUp(): {
  readonly sessions: WebSessions<Data>;
  readonly manager: SessionManager<Data>;
  readonly fault: { error: SessionError | undefined };
} {
  const fault: { error: SessionError | undefined } = { error: undefined };
  const store = overriding(new MemoryStore(), (_, original) => (...args) => {
    return fault.error === undefined ? original(...args) : Promise.reject(fault.error);
  });
  const manager = new SessionManager<Data>({ store, sweep: false });
  onTestFinished(() => manager.close());
  const sessions = webSessions({ manager, secret: "a secret of at least 32 characters" });
  expectTypeOf(sessions).toEqualTypeOf<WebSessions<Data>>();
  return { sessions, manager, fault };
}

function requestOf(path: string, cookie?: string): Request {
  return new Request(`https://shop.example/${path}`, cookie === undefined ? {} : { headers: { cookie } });
}

/** Returns the cookies that a response sets, as a browser would send them. */
function cookieOf(response: Response): string {
  return response.headers
    .getSetCookie()
    .map((header) => header.slice(0, header.indexOf(";")))
    .join("; ");
}

function count({ data }: RequestSession<Data>): string {
  data.views = (data.views ?? 0) + 1;
  return String(data.views);
}

test("handle saves the changes and sets the cookie once", async () => {
  const { sessions } = setUp();
  const visit = (cookie?: string): Promise<Response> =>
    sessions.handle(requestOf("count", cookie), (session) => new Response(count(session)));
  const first = await visit();
  expect(first.headers.get("cache-control")).toBe("no-store");
  expect(first.headers.getSetCookie()).toEqual([
    expect.stringMatching(/^__Host-session=.+; HttpOnly; Secure; SameSite=Lax$/),
  ]);
  const second = await visit(cookieOf(first));
  expect([await first.text(), await second.text(), second.headers.getSetCookie()]).toEqual(["1", "2", []]);
});

test("an immutable response is copied: its status, headers and body stay, and so do its cookies", async () => {
  const { sessions } = setUp();
  const redirect = await sessions.handle(requestOf("login"), async (session) => {
    await session.regenerate({ userId: "ann" });
    return Response.redirect("https://shop.example/", 303);
  });
  expect([redirect.status, redirect.headers.get("location")]).toEqual([303, "https://shop.example/"]);
  const cookie = cookieOf(redirect);
  const fetched = await fetch("data:text/plain,hello");
  const copy = await sessions.handle(requestOf("count", cookie), async (session) => {
    await session.regenerate();
    return fetched;
  });
  expect([await copy.text(), copy.headers.get("content-type")]).toEqual(["hello", "text/plain"]);
  expect(cookieOf(copy)).not.toBe(cookie);
});

test("cookies of the application stay beside the session's, and a response without changes is the same object", async () => {
  const { sessions } = setUp();
  const response = new Response("", { headers: { "set-cookie": "mine=1" } });
  const session = await sessions.open(requestOf("count"));
  count(session);
  expect(await sessions.commit(session, response)).toBe(response);
  expect(response.headers.getSetCookie()).toEqual(["mine=1", expect.stringMatching(/^__Host-session=/)]);
});

test("a handler that throws saves nothing, and the error passes through", async () => {
  const { sessions, manager } = setUp();
  const { token } = await manager.create({ data: { views: 1 } });
  const broken = new Error("broken");
  const cookie = cookieOf(
    await sessions.handle(requestOf("begin"), async (session) => {
      count(session);
      return new Response("");
    }),
  );
  const failing = sessions.handle(requestOf("broken", cookie), (session) => {
    count(session);
    throw broken;
  });
  await expect(failing).rejects.toBe(broken);
  const look = await sessions.handle(requestOf("look", cookie), ({ data }) => Response.json(data));
  expect(await look.json()).toEqual({ views: 1 });
  expect(await manager.get(token)).toBeDefined();
});

test("a store that is down: handle rejects with a statusCode, and the response to the error gets the login's cookie", async () => {
  const { sessions, fault } = setUp();
  const session = await sessions.open(requestOf("login"));
  await session.regenerate({ userId: "ann" });
  count(session);
  fault.error = down;
  await expect(sessions.commit(session, new Response(""))).rejects.toMatchObject({ statusCode: 503 });
  fault.error = undefined;
  const answer = await sessions.commit(session, new Response("sorry", { status: 503 }));
  const look = await sessions.handle(requestOf("look", cookieOf(answer)), ({ userId }) => Response.json(userId));
  expect(await look.json()).toBe("ann");
});

test("after commit a login is refused, because its token cannot be sent any more", async () => {
  const { sessions } = setUp();
  const session = await sessions.open(requestOf("stream"));
  await sessions.commit(session, new Response(""));
  await expect(session.regenerate({ userId: "ann" })).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
});

test("a slow request does not write over a login in between, and merges with another one's change", async () => {
  const { sessions, manager } = setUp();
  const cookie = cookieOf(await sessions.handle(requestOf("count"), (session) => new Response(count(session))));
  const conflicts: string[] = [];
  manager.on("conflict", ({ reason }) => conflicts.push(reason));
  const slow = await sessions.open(requestOf("slow", cookie));
  const login = await sessions.handle(requestOf("login", cookie), async (session) => {
    await session.regenerate({ userId: "ann" });
    return new Response("");
  });
  count(slow);
  const late = await sessions.commit(slow, new Response(""));
  expect(late.headers.getSetCookie()).toEqual([]);
  const look = await sessions.handle(requestOf("look", cookieOf(login)), ({ userId, data }) =>
    Response.json({ userId, ...data }),
  );
  expect(await look.json()).toEqual({ userId: "ann", views: 1 });
  expect(conflicts).toHaveLength(1);
});

test("a cookie jar, as Next.js has it: reads its cookies, and gets the session's", async () => {
  const { sessions } = setUp();
  /** `await cookies()` in a server action: `next/headers` is made of these two. */
  const jarOf = (cookie: string): { readonly jar: CookieJar; readonly sent: Headers } => {
    const sent = new Headers();
    const received = new RequestCookies(new Headers({ cookie }));
    const toSend = new ResponseCookies(sent);
    const jar: CookieJar = { getAll: () => received.getAll(), set: (...cookie) => toSend.set(...cookie) };
    return { jar, sent };
  };
  const first = jarOf("other=1");
  const session = await sessions.open(first.jar);
  await session.regenerate({ userId: "ann" });
  expect(await sessions.commit(session)).toBeUndefined();
  const [header = ""] = first.sent.getSetCookie();
  expect(header).toMatch(/^__Host-session=.+; Path=\/; Secure; HttpOnly; SameSite=lax$/);
  const second = jarOf(`other=1; ${header.slice(0, header.indexOf(";"))}`);
  expect((await sessions.open(second.jar)).userId).toBe("ann");
  const stranger = await sessions.open(requestOf("look"));
  await expect(sessions.commit(stranger)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});

test("Hono: c.var.session, also after an error of a handler and on an immutable response", async () => {
  const { sessions } = setUp();
  const app = new Hono<{ Variables: { session: RequestSession<Data> } }>();
  app.use(async (c, next) => {
    const session = await sessions.open(c.req.raw);
    c.set("session", session);
    await next();
    const response = await sessions.commit(session, c.res);
    if (response === c.res) return;
    // Hono would put the headers of the response before over the new ones.
    c.res = undefined;
    c.res = response;
  });
  app.get("/count", (c) => c.text(count(c.var.session)));
  app.get("/redirect", async (c) => {
    await c.var.session.regenerate({ userId: "ann" });
    return Response.redirect("https://shop.example/", 302);
  });
  app.get("/broken", (c) => {
    count(c.var.session);
    throw new Error("broken");
  });
  app.onError((_, c) => c.text("sorry", 500));
  const first = await app.request(requestOf("count"));
  const second = await app.request(requestOf("count", cookieOf(first)));
  expect([await first.text(), await second.text()]).toEqual(["1", "2"]);
  const redirect = await app.request(requestOf("redirect", cookieOf(first)));
  expect([redirect.status, redirect.headers.getSetCookie().length]).toEqual([302, 1]);
  const broken = await app.request(requestOf("broken"));
  expect([broken.status, broken.headers.getSetCookie().length]).toEqual([500, 1]);
});

test("h3: event.context.session", async () => {
  const { sessions } = setUp();
  const app = new H3();
  app.use(async (event, next) => {
    const session = await sessions.open(event.req);
    event.context.session = session;
    return sessions.commit(session, await toResponse(await next(), event));
  });
  app.get("/count", (event) => count(event.context.session as RequestSession<Data>));
  const first = await app.request("/count");
  const second = await app.request("/count", { headers: { cookie: cookieOf(first) } });
  expect([await first.text(), await second.text()]).toEqual(["1", "2"]);
});

/** Its types declare the DOM for the whole program, where `setTimeout` returns a number. */
interface Yoga {
  createSchema(definition: object): object;
  createYoga(options: object): { fetch(request: Request, context: object): Promise<Response> };
}

test("GraphQL Yoga: the session in the context", async () => {
  const { sessions } = setUp();
  const { createSchema, createYoga }: Yoga = await import("graphql-yoga" as string);
  const views = (_: unknown, __: unknown, { session }: { session: RequestSession<Data> }): string => count(session);
  const schema = createSchema({ typeDefs: "type Query { views: String }", resolvers: { Query: { views } } });
  const yoga = createYoga({ logging: false, schema });
  const query = (cookie?: string): Promise<Response> => {
    const request = requestOf("graphql?query={views}", cookie);
    return sessions.handle(request, (session) => yoga.fetch(request, { session }));
  };
  const first = await query();
  const second = await query(cookieOf(first));
  expect([await first.json(), await second.json()]).toEqual([{ data: { views: "1" } }, { data: { views: "2" } }]);
});

test.each<[string, unknown, string]>([
  ["no secret", { store: new MemoryStore() }, "secret"],
  [
    "an address in place of a function",
    { store: new MemoryStore(), secret: "a secret of at least 32 characters", ip: "x" },
    "ip",
  ],
  ["an unknown option", { manager: setUpManager(), secret: "a secret of at least 32 characters", sercet: 1 }, "sercet"],
])("%s is refused by name", (_, options, name) => {
  expect(() => webSessions(options as WebSessionsOptions)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
  );
});

function setUpManager(): SessionManager<Data> {
  return new SessionManager<Data>({ store: new MemoryStore(), sweep: false });
}
