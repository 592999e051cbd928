import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { Browser, overriding } from "@sojourn/test-fixtures";
import Koa, { type Context } from "koa";
import { expect, expectTypeOf, onTestFinished, test, vi } from "vitest";
import { type EagerSessionOf, type KoaSessionsOptions, koaSessions, type SessionOf, sessionOf } from "../src/index.js";

/* The flows of all frameworks are in tests/bridges.test.ts, Koa's own habits in tests/koa-bridge.test.ts. */

const secret = "a secret of at least 32 characters";

interface Data {
  views: number;
}

function managed(): { readonly manager: SessionManager<Data>; readonly calls: string[] } {
  const calls: string[] = [];
  const store = overriding(new MemoryStore(), (method, original) => (...args) => {
    calls.push(method);
    return original(...args);
  });
  const manager = new SessionManager<Data>({ store, sweep: false });
  calls.length = 0;
  onTestFinished(() => manager.close());
  return { manager, calls };
}

async function serve(app: Koa): Promise<Browser> {
  app.silent = true;
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Browser({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

/** Counts the views in the session under `property`, whether it is loaded or not. */
function count(property: string): (ctx: Context) => Promise<void> {
  return async (ctx) => {
    const session = (await ctx[property]) as EagerSessionOf<SessionManager<Data>>;
    session.data.views = (session.data.views ?? 0) + 1;
    ctx.body = String(session.data.views);
  };
}

test("a session that no middleware asks for costs no store call and no cookie", async () => {
  const { manager, calls } = managed();
  const app = new Koa();
  app.use(koaSessions({ manager, secret, cookie: { secure: false } }));
  app.use(async (ctx) => {
    if (ctx.path === "/count") await count("session")(ctx);
    else ctx.body = "untouched";
  });
  const browser = await serve(app);
  expect(String(await browser.get("count"))).toBe("1");
  calls.length = 0;
  expect(await browser.get("untouched")).toBe("untouched");
  expect(calls).toEqual([]);
  expect(String(await browser.get("count"))).toBe("2");
});

test("eager: ctx.session is the session itself", async () => {
  const { manager } = managed();
  const app = new Koa();
  app.use(koaSessions({ manager, secret, cookie: { secure: false }, eager: true }));
  app.use((ctx) => {
    const session: EagerSessionOf<typeof manager> = ctx.session;
    session.data.views = (session.data.views ?? 0) + 1;
    ctx.body = String(session.data.views);
  });
  const browser = await serve(app);
  expect(String(await browser.get("count"))).toBe("1");
  expect(String(await browser.get("count"))).toBe("2");
});

test("two managers have independent sessions, under two names", async () => {
  const [one, other] = [managed().manager, managed().manager];
  const app = new Koa();
  app.use(koaSessions({ manager: one, secret, cookie: { secure: false, name: "one" } }));
  app.use(koaSessions({ manager: other, secret, cookie: { secure: false, name: "other" }, decorator: "other" }));
  app.use((ctx) => count(ctx.path.slice(1))(ctx));
  const browser = await serve(app);
  expect(String(await browser.get("session"))).toBe("1");
  expect(String(await browser.get("session"))).toBe("2");
  expect(String(await browser.get("other"))).toBe("1");
});

test("two middlewares with one manager are refused; one middleware may be used twice", async () => {
  const { manager } = managed();
  const errors: unknown[] = [];
  const sessions = koaSessions({ manager, secret, cookie: { secure: false } });
  const app = new Koa();
  app.on("error", (error) => errors.push(error));
  app.use(sessions);
  app.use(sessions);
  app.use((ctx, next) => (ctx.path === "/twice" ? koaSessions({ manager, secret })(ctx, next) : next()));
  app.use(count("session"));
  const browser = await serve(app);
  expect(String(await browser.get("count"))).toBe("1");
  expect((await browser.request("twice")).status).toBe(500);
  expect(errors).toMatchObject([{ code: "INVALID_OPTION", message: expect.stringContaining("use one of them") }]);
});

test("sessionOf finds the session of its manager, and says where there is none", async () => {
  const { manager } = managed();
  const stranger = managed().manager;
  const app = new Koa();
  app.use(koaSessions({ manager, secret, cookie: { secure: false } }));
  app.use(async (ctx) => {
    const session = await sessionOf(ctx, manager);
    expectTypeOf(session.data.views).toEqualTypeOf<number | undefined>();
    expectTypeOf<SessionOf<typeof manager>>().toEqualTypeOf<Promise<typeof session>>();
    expect(() => sessionOf(ctx, stranger)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining("does not run before") }),
    );
    ctx.body = session.isNew;
  });
  expect(String(await (await serve(app)).get("look"))).toBe("true");
});

test("a change in a stream that is never saved warns once; one that is saved does not", async () => {
  const { manager } = managed();
  const warnings: { message: string; code?: string }[] = [];
  const onWarning = (warning: Error): unknown => warnings.push(warning);
  process.on("warning", onWarning);
  onTestFinished(() => void process.off("warning", onWarning));
  const app = new Koa();
  app.use(koaSessions({ manager, secret, cookie: { secure: false }, eager: true }));
  app.use((ctx) => {
    const session: EagerSessionOf<typeof manager> = ctx.session;
    const isSaved = ctx.path === "/saved";
    if (ctx.path === "/begin") session.data.views = 0;
    const chunks = async function* (): AsyncGenerator<string> {
      yield "begun ";
      await new Promise(setImmediate);
      if (ctx.path !== "/begin") session.data.views = (session.data.views ?? 0) + 1;
      if (isSaved) await session.save();
      yield String(session.data.views);
    };
    ctx.body = Readable.from(chunks());
  });
  const browser = await serve(app);
  expect(await browser.get("begin")).toBe("begun 0");
  expect(await browser.get("saved")).toBe("begun 1");
  expect(await browser.get("unsaved")).toBe("begun 2");
  expect(await browser.get("unsaved")).toBe("begun 2");
  await vi.waitFor(() => expect(warnings).toHaveLength(1));
  expect(warnings).toMatchObject([
    { code: "SOJOURN_UNSAVED_CHANGES", message: expect.stringContaining("session.save()") },
  ]);
});

test.each<[string, unknown, string]>([
  ["no options", undefined, "options"],
  ["an empty decorator", { secret, store: new MemoryStore(), decorator: "" }, "decorator"],
  ["eager as text", { secret, store: new MemoryStore(), eager: "yes" }, "eager"],
  ["no secret", { store: new MemoryStore() }, "secret"],
])("%s is refused by name", (_, options, name) => {
  expect(() => koaSessions(options as KoaSessionsOptions)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(name) }),
  );
});
