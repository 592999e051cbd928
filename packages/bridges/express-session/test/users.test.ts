import { isSessionError, tokenToId } from "@sojourn/core";
import { Browser } from "@sojourn/test-fixtures";
import { describe, expect, test } from "vitest";
import type { ExpressSessionStore } from "../src/index.js";
import { type Action, type App, expressVersions, serve, setUp } from "./support.js";

const [, [, express] = [] as never] = expressVersions;

const login = (req: Parameters<Action>[0]): Promise<void> =>
  new Promise<void>((resolve, reject) => {
    req.session.regenerate((error) => {
      if (error) return reject(error);
      req.session.account = String(req.query.account);
      req.session.save((failure) => (failure ? reject(failure) : resolve()));
    });
  });

function actions(store: ExpressSessionStore): Record<string, Action> {
  return {
    login,
    switch: (req) => {
      req.session.account = String(req.query.account);
    },
    leave: (req) => {
      delete req.session.account;
    },
    look: (req) => ({ account: req.session.account ?? null, id: tokenToId(req.sessionID) }),
    others: (req) => store.destroyByUser(String(req.query.account), { except: req.sessionID }),
  };
}

const userId = ({ account }: { account?: string }): string | undefined => account;

async function idsOf(store: ExpressSessionStore, user: string): Promise<string[]> {
  return (await store.listByUser(user)).map(({ id }) => id);
}

async function idIn(browser: Browser): Promise<string> {
  return ((await browser.get("look")) as { id: string }).id;
}

async function loggedIn(app: App, account: string): Promise<Browser> {
  const browser = new Browser(app);
  await browser.get(`login?account=${account}`);
  return browser;
}

describe("the sessions of a user", () => {
  test("are listed with their metadata, and all except the caller's own are ended", async () => {
    const { store } = setUp({
      userId,
      metadata: (req) => ({ ip: req.ip, userAgent: req.get("user-agent") }),
    });
    await using app = await serve(express, store, actions(store));
    const [laptop, phone, other] = [await loggedIn(app, "u1"), await loggedIn(app, "u1"), await loggedIn(app, "u2")];
    expect(await idsOf(store, "u1")).toEqual([await idIn(laptop), await idIn(phone)]);
    expect((await store.listByUser("u1"))[0]?.metadata).toEqual({ ip: "127.0.0.1", userAgent: "node" });
    expect(await phone.get("others?account=u1")).toEqual([expect.any(String)]);
    expect(await laptop.get("look")).toMatchObject({ account: null });
    expect(await phone.get("look")).toMatchObject({ account: "u1" });
    expect(await other.get("look")).toMatchObject({ account: "u2" });
    await store.manager.close();
  });

  test("follow the user in the data: none, one, another, none", async () => {
    const { store } = setUp({ userId });
    await using app = await serve(express, store, actions(store));
    const browser = new Browser(app);
    const listed = async (): Promise<number[]> =>
      Promise.all(["u1", "u2"].map(async (user) => (await idsOf(store, user)).length));
    await browser.get("switch?account=u1");
    expect(await listed()).toEqual([1, 0]);
    await browser.get("switch?account=u2");
    expect(await listed()).toEqual([0, 1]);
    await browser.get("leave");
    expect(await listed()).toEqual([0, 0]);
    await browser.get("switch?account=u1");
    expect(await listed()).toEqual([1, 0]);
    await store.manager.close();
  });

  test("a request that ends after log out everywhere brings nothing back", async () => {
    const { store, conflicts } = setUp({ userId });
    await using app = await serve(express, store, {
      ...actions(store),
      late: async (req) => {
        await store.destroyByUser("u1");
        req.session.late = true;
      },
    });
    const browser = await loggedIn(app, "u1");
    await browser.get("late");
    expect(await store.length()).toBe(0);
    expect(conflicts).toEqual(["ended"]);
    expect(app.errors).toEqual([]);
    await store.manager.close();
  });

  test("except takes the storage id of a session, too", async () => {
    const { store } = setUp({ userId });
    await using app = await serve(express, store, actions(store));
    await loggedIn(app, "u1");
    await loggedIn(app, "u1");
    const [kept, other] = (await store.listByUser("u1")).map(({ id }) => id);
    expect(await store.destroyByUser("u1", { except: kept })).toEqual([other]);
    expect(await store.ids()).toEqual([kept]);
    await store.manager.close();
  });

  test("a malformed except ends no session", async () => {
    const { store } = setUp({ userId });
    await using app = await serve(express, store, actions(store));
    await loggedIn(app, "u1");
    for (const except of ["", {}, "\r\n"] as string[]) {
      await expect(store.destroyByUser("u1", { except })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    }
    expect(await store.length()).toBe(1);
    await store.manager.close();
  });
});

describe("the session limit", () => {
  test("reject reaches the callback of save, and the earlier sessions stay", async () => {
    const { store } = setUp({ userId, sessionLimit: { max: 2, whenReached: "reject" } });
    await using app = await serve(express, store, actions(store));
    const browsers = [await loggedIn(app, "u1"), await loggedIn(app, "u1"), await loggedIn(app, "u1")];
    expect(app.errors).toMatchObject([{ code: "LIMIT_REACHED" }]);
    expect(await store.listByUser("u1")).toHaveLength(2);
    expect(await browsers[0]?.get("look")).toMatchObject({ account: "u1" });
    await store.manager.close();
  });

  test("an application can show the refusal of reject, and a logout makes room", async () => {
    const { store } = setUp({ userId, sessionLimit: { max: 1, whenReached: "reject" } });
    const refusals: unknown[] = [];
    store.manager.on("security", ({ kind, userId }) => refusals.push([kind, userId]));
    await using app = await serve(express, store, {
      ...actions(store),
      login: async (req) => {
        try {
          await login(req);
          return "welcome";
        } catch (error) {
          if (!isSessionError(error, "LIMIT_REACHED")) throw error;
          await new Promise((resolve) => req.session.destroy(resolve));
          return "too many devices";
        }
      },
      logout: (req) => new Promise((resolve) => req.session.destroy(resolve)),
    });
    const [laptop, phone] = [new Browser(app), new Browser(app)];
    expect(await laptop.get("login?account=u1")).toBe("welcome");
    expect(await phone.get("login?account=u1")).toBe("too many devices");
    expect(await phone.get("look")).toMatchObject({ account: null });
    expect(refusals).toEqual([["limitReached", "u1"]]);
    // A login where one is logged in already is a new session id, and no second session.
    expect(await laptop.get("login?account=u1")).toBe("welcome");
    await laptop.get("logout");
    expect(await phone.get("login?account=u1")).toBe("welcome");
    expect(app.errors).toEqual([]);
    await store.manager.close();
  });

  test("evictOldest ends the oldest session, and emits destroyed", async () => {
    const { store } = setUp({ userId, sessionLimit: { max: 2, whenReached: "evictOldest" } });
    const ended: string[] = [];
    store.manager.on("destroyed", ({ reason }) => ended.push(reason));
    await using app = await serve(express, store, actions(store));
    const browsers = [await loggedIn(app, "u1"), await loggedIn(app, "u1"), await loggedIn(app, "u1")];
    expect(await Promise.all(browsers.map((browser) => browser.get("look")))).toMatchObject([
      { account: null },
      { account: "u1" },
      { account: "u1" },
    ]);
    expect(ended).toEqual(["limit"]);
    await store.manager.close();
  });
});

test("after a regeneration with grace by the manager, the old session id reads, writes nothing and can log out", async () => {
  const { store, conflicts } = setUp({ userId, regenerationGrace: "10s" });
  let sid = "";
  await using app = await serve(express, store, {
    ...actions(store),
    write: (req) => {
      sid = req.sessionID;
      req.session.a = "late";
    },
    leaveForGood: (req) => new Promise((resolve) => req.session.destroy(resolve)),
  });
  const browser = await loggedIn(app, "u1");
  const id = await idIn(browser);
  await store.manager.byId.rename(id, "fresh");
  expect(await browser.get("look")).toMatchObject({ account: "u1" });
  await browser.get("write");
  expect(tokenToId(sid)).toBe(id);
  expect(conflicts).toEqual(["superseded"]);
  expect(await idsOf(store, "u1")).toEqual(["fresh"]);
  expect((await store.manager.byId.get("fresh"))?.data).not.toHaveProperty("a");
  await browser.get("leaveForGood");
  expect(await idsOf(store, "u1")).toEqual([]);
  await store.manager.close();
});
