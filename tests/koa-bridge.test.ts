import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { SessionError, SessionManager } from "@sojourn/core";
import type { RequestSession } from "@sojourn/core/bridge";
import { koaSessions, sessionOf } from "@sojourn/koa";
import { MemoryStore } from "@sojourn/memory";
import { Browser, overriding } from "@sojourn/test-fixtures";
import Koa, { type Context, type Middleware } from "koa";
import { describe, expect, onTestFinished, test } from "vitest";
import { KoaSessions } from "./bridges/koa-bridge.js";

/* Koa's own habits. The flows of all frameworks are in bridges.test.ts. */

interface Data {
  name: string;
}
type Session = Pick<RequestSession<Data>, "userId" | "data" | "regenerate">;
type Action = (session: Session, ctx: Context) => unknown;

/** A bridge: its middleware, and how a handler gets the session. */
interface Bridge {
  readonly middleware: Middleware;
  of(ctx: Context): Promise<Session>;
}
const secret = "a secret of at least 32 characters";
const bridges: readonly [string, (manager: SessionManager<Data>) => Bridge][] = [
  [
    "@sojourn/koa",
    (manager) => ({ middleware: koaSessions({ manager, secret }), of: (ctx) => sessionOf(ctx, manager) }),
  ],
  ["the bridge of docs/writing-a-bridge.md", (manager) => new KoaSessions<Data>({ manager, secret })],
];

const fault: { error: SessionError | undefined } = { error: undefined };
const down = new SessionError("UNAVAILABLE", "connect ECONNREFUSED 10.0.0.7:6379");

/** Serves each action under its name. `GET /read` returns user and data of the session. */
async function serveWith(
  makeBridge: (manager: SessionManager<Data>) => Bridge,
  actions: Record<string, Action>,
  before: (app: Koa) => void = () => undefined,
): Promise<{ readonly url: string; readonly browser: Browser }> {
  const store = overriding(new MemoryStore(), (_method, original) => (...args) => {
    return fault.error === undefined ? original(...args) : Promise.reject(fault.error);
  });
  const manager = new SessionManager<Data>({ store, sweep: false });
  const sessions = makeBridge(manager);
  const read: Action = ({ userId, data }) => ({ userId, data });
  const app = new Koa();
  app.silent = true;
  before(app);
  app.use(sessions.middleware);
  app.use(async (ctx) => {
    const action = { read, ...actions }[ctx.path.slice(1)] ?? expect.fail(ctx.path);
    ctx.body = await action(await sessions.of(ctx), ctx);
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    fault.error = undefined;
    server.closeAllConnections();
    server.close();
    await manager.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, browser: new Browser({ url }) };
}

const login: Action = (session) => session.regenerate({ userId: "ann" });
const teapot = Object.assign(new Error("broken"), { status: 418, headers: { "x-reason": "tea" } });

describe.each(bridges)("%s", (_, makeBridge) => {
  const serve = (actions: Record<string, Action>, before?: (app: Koa) => void) =>
    serveWith(makeBridge, actions, before);

  test("a handler that throws after a login: the login's cookie arrives, and its changes are saved", async () => {
    const { browser } = await serve({
      async broken(session, ctx) {
        await login(session, ctx);
        session.data.name = "Ann";
        throw teapot;
      },
    });
    expect((await browser.request("broken")).status).toBe(418);
    expect(await browser.get("read")).toEqual({ userId: "ann", data: { name: "Ann" } });
  });

  test("a save that fails after a login: a 503 with the login's cookie", async () => {
    const { browser } = await serve({
      async late(session, ctx) {
        await login(session, ctx);
        session.data.name = "Ann";
        fault.error = down;
      },
    });
    expect(await browser.request("late")).toEqual({ status: 503, body: "Service Unavailable" });
    fault.error = undefined;
    expect(await browser.get("read")).toEqual({ userId: "ann", data: {} });
  });

  test("an error handler before the sessions keeps the login's cookie in its own response", async () => {
    const answer = async (ctx: Context, next: () => Promise<unknown>): Promise<void> => {
      await next().catch(() => {
        ctx.body = { answered: true };
      });
    };
    const broken: Action = async (session, ctx) => {
      await login(session, ctx);
      throw teapot;
    };
    const { browser } = await serve({ broken }, (app) => app.use(answer));
    expect(await browser.get("broken")).toEqual({ answered: true });
    expect(await browser.get("read")).toMatchObject({ userId: "ann" });
  });

  test("cookies of the application stay beside the session's", async () => {
    const { url } = await serve({
      async both(session, ctx) {
        ctx.cookies.set("mine", "1");
        await login(session, ctx);
        return "both";
      },
    });
    const { headers } = await fetch(`${url}/both`);
    expect(headers.getSetCookie()).toEqual([
      expect.stringMatching(/^mine=1;/),
      expect.stringMatching(/^__Host-session=.+; HttpOnly; Secure; SameSite=Lax$/),
    ]);
  });

  test("a login inside a stream is refused, because the head of the response is sent", async () => {
    const outcomes: unknown[] = [];
    const { browser } = await serve({
      stream(session, ctx) {
        const chunks = async function* (): AsyncGenerator<string> {
          yield "begun ";
          await new Promise(setImmediate);
          await Promise.resolve(login(session, ctx)).catch((error: unknown) => outcomes.push(error));
          yield "ended";
        };
        return Readable.from(chunks());
      },
    });
    expect(await browser.get("stream")).toBe("begun ended");
    expect(outcomes).toMatchObject([{ code: "NOT_SUPPORTED" }]);
  });
});
