import { MemoryStore } from "@sojourn/memory";
import { Browser } from "@sojourn/test-fixtures";
import type { SessionData } from "express-session";
import { expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { ExpressSessionStore } from "../src/index.js";
import { type Action, expressVersions, serve, setUp } from "./support.js";

const save: Action = (req) =>
  new Promise((done, fail) => req.session.save((error) => (error ? fail(error) : done(null))));
const actions: Record<string, Action> = {
  add: (req) => {
    req.session.list = [...(req.session.list ?? []), 1];
  },
  show: (req) => ({
    list: req.session.list ?? null,
    cart: req.session.cart ?? null,
    maxAge: req.session.cookie.maxAge,
  }),
  spoil: async (req) => {
    Object.assign(req.session, { list: ["not a number"] });
    await save(req);
  },
};

test.each(expressVersions)(
  "%s: a schema fills in defaults, and refuses a save that does not match",
  async (_, express) => {
    const schema = z.looseObject({ list: z.array(z.number()), cart: z.string().default("empty") });
    const { store } = setUp({ schema });
    await using app = await serve(express, store, actions, { cookie: { maxAge: 60_000 } });
    const browser = new Browser(app);
    await browser.get("add");
    await browser.get("add");
    const shown = { list: [1, 1], cart: "empty", maxAge: expect.closeTo(60_000, -3) };
    expect(await browser.get("show")).toEqual(shown);
    expect(await browser.get("spoil")).toEqual({
      error: '@sojourn/core: session data does not match the schema at "list.0"',
    });
    expect(await browser.get("show")).toEqual(shown);
  },
);

test.each(expressVersions)(
  "%s: an unreadable session is a new one for its request, and stays stored",
  async (_, express) => {
    const memory = new MemoryStore();
    const release2 = setUp({ store: memory, schemaVersion: 2 });
    await using app2 = await serve(express, release2.store, actions);
    const browser = new Browser(app2);
    await browser.get("add");
    // A rollback: the release before meets what the later one has stored.
    const release1 = setUp({ store: memory, onUnreadable: "missing" });
    await using app1 = await serve(express, release1.store, actions);
    const visitor = new Browser(app1, browser.cookie);
    expect(await visitor.get("show")).toMatchObject({ list: null });
    await visitor.get("add");
    expect(visitor.cookie).not.toBe(browser.cookie);
    expect(await visitor.get("show")).toMatchObject({ list: [1] });
    expect(await browser.get("show")).toMatchObject({ list: [1] });
  },
);

test("set by the application rejects when it would replace an unreadable session", async () => {
  const memory = new MemoryStore();
  const session = { cookie: { originalMaxAge: 60_000 }, cart: "a" } as SessionData;
  await setUp({ store: memory, schemaVersion: 2 }).store.set("sid", session);
  const { store } = setUp({ store: memory, onUnreadable: "missing" });
  expect(await store.get("sid")).toBeNull();
  await expect(store.set("sid", { ...session, cart: "b" })).rejects.toMatchObject({ code: "DECODE" });
  await store.destroy("sid");
  await store.set("sid", { ...session, cart: "b" });
  expect(await store.get("sid")).toMatchObject({ cart: "b" });
});

test("a schema that drops the cookie is refused by the first save, and nothing is stored", async () => {
  const { store } = setUp({ schema: z.object({ cart: z.string() }) });
  const saving = store.set("sid", { cookie: { originalMaxAge: 60_000 }, cart: "a" } as SessionData);
  await expect(saving).rejects.toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining('"cookie"') });
  expect(await store.get("sid")).toBeNull();
});

test("the sessions of a user are typed by the schema", () => {
  const store = new ExpressSessionStore({ store: new MemoryStore(), schema: z.looseObject({ cart: z.string() }) });
  expectTypeOf(store.listByUser).returns.resolves.items.toHaveProperty("data");
  expectTypeOf<Awaited<ReturnType<typeof store.listByUser>>[number]["data"]["cart"]>().toEqualTypeOf<string>();
});
