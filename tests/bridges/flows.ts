import { Barrier, Browser } from "@sojourn/test-fixtures";
import type { FailingCall, FlowAction, FlowOptions, Running, Subject } from "./subjects.js";

/** A situation, and the outcomes that are allowed. */
export interface Flow {
  readonly name: string;
  /** Outcomes that are allowed with Sojourn's sessions. */
  readonly wanted: readonly string[];
  /** The subjects whose protocol allows another outcome only, with that outcome. */
  readonly limits?: Readonly<Record<string, string>>;
  readonly limit?: FlowOptions["limit"];
  readonly graceMs?: FlowOptions["graceMs"];
  /** Walks the flow, and returns the outcome in a few words. */
  walk(walk: Walk): Promise<string>;
}

const hour = 3_600_000;
const idleMs = hour;
const absoluteMs = 8 * hour;
/** The idle timeout of a login that is to be remembered. */
const rememberMs = 3 * hour;

export const flows: readonly Flow[] = [
  {
    name: "login",
    wanted: ["logged in"],
    async walk({ browser }) {
      const user = browser();
      await user.get("login?account=u1");
      return (await accountOf(user)) === "u1" ? "logged in" : "not logged in";
    },
  },
  {
    name: "fixation: a victim logs in with the cookie of an attacker's session",
    wanted: ["stays out"],
    async walk({ browser }) {
      const attacker = browser();
      await attacker.get("put?key=a");
      await browser(attacker.cookie).get("login?account=victim");
      return (await accountOf(attacker)) === undefined ? "stays out" : "the attacker is in";
    },
  },
  {
    name: "fixation: a victim gets the signed cookie of an ended session",
    wanted: ["a new id"],
    async walk({ browser }) {
      const attacker = browser();
      await attacker.get("put?key=a");
      const planted = attacker.cookie;
      await attacker.get("logout");
      const victim = browser(planted);
      await victim.get("put?key=b");
      return victim.cookie === planted ? "the planted id" : "a new id";
    },
  },
  {
    name: "regenerate",
    wanted: ["the old id is dead"],
    async walk({ browser }) {
      const user = browser();
      await user.get("login?account=u1");
      const old = browser(user.cookie);
      await user.get("rotate");
      const isNew = user.cookie !== old.cookie && (await accountOf(user)) === "u1";
      if (!isNew) return "no new session";
      return (await accountOf(old)) === undefined ? "the old id is dead" : "the old id still works";
    },
  },
  {
    name: "three requests regenerate at once, with a grace of 10 seconds",
    wanted: ["all are logged in"],
    graceMs: 10_000,
    async walk({ browser, hold }) {
      const user = browser();
      await user.get("login?account=u1");
      const tabs = [browser(user.cookie), browser(user.cookie), browser(user.cookie)];
      const finishes = [];
      for (const tab of tabs) finishes.push(await hold(tab, "rotate"));
      const answers = await Promise.all(finishes.map((finish) => finish()));
      const accounts = answers.map(({ body }) => Object(body).account);
      return accounts.every((account) => account === "u1") ? "all are logged in" : "some are logged out";
    },
  },
  {
    name: "a late request writes with the visitor's cookie, after the login",
    wanted: ["logged in"],
    // Its `regenerate` is a `destroy` like that of a logout.
    limits: { "@fastify/session, Sojourn": "logged out: the late cookie replaced the login's" },
    async walk({ browser }) {
      const user = browser();
      await user.get("put?key=a");
      const late = browser(user.cookie);
      await user.get("login?account=u1");
      const before = late.cookie;
      await late.get("put?key=b");
      // The browser has one cookie for all its requests.
      if (late.cookie !== before) user.cookie = late.cookie;
      return (await accountOf(user)) === "u1" ? "logged in" : "logged out: the late cookie replaced the login's";
    },
  },
  {
    name: "a late request writes with the visitor's cookie, loaded before the login",
    wanted: ["logged in"],
    // They send the cookie of a changed session before they ask the store.
    limits: {
      "express-session, Sojourn": "logged out: the late cookie replaced the login's",
      "@fastify/session, Sojourn": "logged out: the late cookie replaced the login's",
    },
    async walk({ browser, hold }) {
      const user = browser();
      await user.get("put?key=a");
      const late = browser(user.cookie);
      const finish = await hold(late, "put?key=b");
      await user.get("login?account=u1");
      late.cookie = undefined;
      await finish();
      user.cookie = late.cookie ?? user.cookie;
      return (await accountOf(user)) === "u1" ? "logged in" : "logged out: the late cookie replaced the login's";
    },
  },
  {
    name: "reload: unsaved changes",
    wanted: ["dropped"],
    async walk({ browser }) {
      const user = browser();
      await user.get("login?account=u1");
      await user.get("reload");
      const { account, junk } = await look(user);
      return account === "u1" && junk === undefined ? "dropped" : "kept";
    },
  },
  {
    name: "a request reloads and writes, after a logout in between",
    wanted: ["an error, stays out", "no error, stays out"],
    async walk({ browser, hold }) {
      const user = browser();
      await user.get("login?account=u1");
      const { cookie } = user;
      const finish = await hold(user, "reload-write");
      await user.get("logout");
      const { status } = await finish();
      const { late } = await look(browser(cookie));
      return `${status < 400 ? "no error" : "an error"}, ${late === undefined ? "stays out" : "the old id is back"}`;
    },
  },
  {
    name: "two requests set different keys at once",
    wanted: ["both are kept"],
    async walk({ browser, hold }) {
      const user = browser();
      await user.get("login?account=u1");
      const finishes = [await hold(user, "put?key=a"), await hold(user, "put?key=b")];
      for (const finish of finishes) await finish();
      const { a, b } = await look(user);
      return a === "1" && b === "1" ? "both are kept" : "one is lost";
    },
  },
  ...(["put?key=late", "look"] as const).map(
    (path): Flow => ({
      name: `logout during a request that ${path === "look" ? "only reads" : "writes"}`,
      wanted: ["stays out"],
      async walk({ browser, hold }) {
        const user = browser();
        await user.get("login?account=u1");
        const { cookie } = user;
        const finish = await hold(user, path);
        await user.get("logout");
        await finish();
        return (await accountOf(browser(cookie))) === undefined ? "stays out" : "logged in again";
      },
    }),
  ),
  {
    name: "logout during a request that regenerates",
    // express-session and @fastify/session make two store calls of it, destroy and set.
    wanted: ["stays out", "logged in under the new id"],
    async walk({ browser, hold }) {
      const user = browser();
      await user.get("login?account=u1");
      const slow = browser(user.cookie);
      const finish = await hold(slow, "rotate");
      await user.get("logout");
      await finish();
      return (await accountOf(slow)) === undefined ? "stays out" : "logged in under the new id";
    },
  },
  {
    name: "unused beyond the idle timeout",
    wanted: ["ended"],
    async walk({ browser, wait }) {
      const user = browser();
      await user.get("login?account=u1");
      wait(idleMs + 1);
      return (await accountOf(user)) === undefined ? "ended" : "lives on";
    },
  },
  {
    name: "used again and again, within the idle timeout",
    wanted: ["lives on"],
    async walk({ browser, wait }) {
      const user = browser();
      await user.get("login?account=u1");
      for (let i = 0; i < 4; i++) {
        wait(0.8 * idleMs);
        await user.get("look");
      }
      return (await accountOf(user)) === "u1" ? "lives on" : "ended";
    },
  },
  {
    name: "used again and again, beyond the absolute timeout",
    wanted: ["ended"],
    async walk({ browser, wait }) {
      const user = browser();
      await user.get("login?account=u1");
      for (let passed = 0; passed <= absoluteMs; passed += idleMs / 2) {
        await user.get("look");
        wait(idleMs / 2);
      }
      return (await accountOf(user)) === undefined ? "ended" : "lives on";
    },
  },
  {
    name: "a login shortly before the absolute timeout of the visitor's session",
    wanted: ["lives on"],
    async walk({ browser, wait }) {
      const user = browser();
      const use = async (): Promise<void> => {
        for (let passed = 0; passed < absoluteMs - idleMs; passed += idleMs / 2) {
          await user.get("look");
          wait(idleMs / 2);
        }
      };
      await user.get("put?key=a");
      await use();
      await user.get("login?account=u1");
      await use();
      return (await accountOf(user)) === "u1" ? "lives on" : "ended";
    },
  },
  {
    name: "remember me: unused beyond the usual idle timeout, and the browser is restarted",
    wanted: ["logged in"],
    async walk({ browser, wait }) {
      const user = browser();
      await user.get("login-remembered?account=u1");
      wait(rememberMs - 1_000);
      await user.get("put?key=a");
      wait(rememberMs - 1_000);
      user.restart();
      return (await accountOf(user)) === "u1" ? "logged in" : "logged out";
    },
  },
  {
    name: "a third login under a limit of two, by evictOldest",
    wanted: ["the first is out"],
    limit: { max: 2, whenReached: "evictOldest" },
    async walk({ browser, wait }) {
      const users = [browser(), browser(), browser()];
      for (const user of users) {
        await user.get("login?account=u1");
        wait(1_000);
      }
      const accounts = [];
      for (const user of users) accounts.push(await accountOf(user));
      return accounts[0] === undefined && accounts[2] === "u1" ? "the first is out" : "all three are in";
    },
  },
  {
    name: "a third login under a limit of two, by reject",
    wanted: ["500, not logged in"],
    limit: { max: 2, whenReached: "reject" },
    async walk({ browser }) {
      for (let i = 0; i < 2; i++) await browser().get("login?account=u1");
      const third = browser();
      const { status } = await third.request("login?account=u1");
      return `${status}, ${(await accountOf(third)) === undefined ? "not logged in" : "logged in"}`;
    },
  },
  {
    name: "the store fails to read: a request with a session",
    wanted: ["500, as it was after", "503, as it was after"],
    async walk(walk) {
      const user = walk.browser();
      await user.get("login?account=u1");
      const { status } = await walk.failing("get", () => user.request("look"));
      return `${status}, ${(await accountOf(user)) === "u1" ? "as it was after" : "lost"}`;
    },
  },
  {
    name: "the store fails to read: reload, in a request that goes on",
    wanted: ["as it was after"],
    async walk({ browser, failing, hold }) {
      const user = browser();
      await user.get("login?account=u1");
      const finish = await hold(user, "reload-anyway");
      await failing("get", finish);
      return (await accountOf(user)) === "u1" ? "as it was after" : "what was stored is lost";
    },
  },
  {
    name: "the store fails to write: login",
    wanted: ["500, not logged in", "503, not logged in"],
    async walk({ browser, failing }) {
      const user = browser();
      const { status } = await failing("set", () => user.request("login?account=u1"));
      return `${status}, ${(await accountOf(user)) === undefined ? "not logged in" : "logged in"}`;
    },
  },
  {
    name: "the store fails to write: a change, saved at the end of the request",
    // express-session sends the response before it saves.
    wanted: ["200, not stored", "500, not stored", "503, not stored"],
    async walk({ browser, failing }) {
      const user = browser();
      await user.get("login?account=u1");
      const { status } = await failing("set", () => user.request("put?key=a"));
      return `${status}, ${(await look(user)).a === undefined ? "not stored" : "stored"}`;
    },
  },
  {
    name: "the store fails to extend: a request that only reads",
    wanted: ["200, as it was after", "500, as it was after", "503, as it was after"],
    async walk({ browser, failing, wait }) {
      const user = browser();
      await user.get("login?account=u1");
      wait(1_000);
      const { status } = await failing("touch", () => user.request("look"));
      return `${status}, ${(await accountOf(user)) === "u1" ? "as it was after" : "lost"}`;
    },
  },
  {
    name: "the store fails to end: logout",
    wanted: ["500, still logged in", "503, still logged in"],
    async walk({ browser, failing }) {
      const user = browser();
      await user.get("login?account=u1");
      const { cookie } = user;
      const { status } = await failing("destroy", () => user.request("logout"));
      return `${status}, ${(await accountOf(browser(cookie))) === "u1" ? "still logged in" : "logged out"}`;
    },
  },
];

/** Tools of a flow. */
export interface Walk {
  /** Opens a browser, with the cookie of another one if given. */
  browser(cookie?: string): Browser;
  /** Starts a request, which waits with its session loaded. Returns a function that lets it continue, and waits for its end. */
  hold(browser: Browser, path: string): Promise<() => ReturnType<Browser["request"]>>;
  failing<Result>(call: FailingCall, request: () => Promise<Result>): Promise<Result>;
  /** Moves the clock of this process. */
  wait(ms: number): void;
}

const actions: Record<string, FlowAction> = {
  look: (session) => session.read(),
  put: (session, query) => session.set(String(query.get("key")), "1"),
  login: (session, query) => session.login(String(query.get("account"))),
  "login-remembered": (session, query) => session.login(String(query.get("account")), rememberMs),
  logout: (session) => session.logout(),
  rotate: async (session) => {
    await session.rotate();
    return session.read();
  },
  reload: async (session) => {
    session.set("junk", "1");
    await session.reload();
  },
  "reload-write": async (session) => {
    await session.reload();
    session.set("late", "1");
  },
  "reload-anyway": (session) => session.reload().catch(() => undefined),
};

/** Starts the subject, and walks the flow with it. */
export async function outcomeOf(flow: Flow, subject: Subject, wait: Walk["wait"]): Promise<string> {
  const barriers: Barrier[] = [];
  const waiting = (action: FlowAction): FlowAction => {
    return async (session, query) => {
      // The session is loaded by now, also in bridges that load it when it is first asked for.
      await barriers[Number(query.get("barrier") ?? -1)]?.wait();
      return action(session, query);
    };
  };
  const held = Object.fromEntries(Object.entries(actions).map(([name, action]) => [name, waiting(action)]));
  await using app: Running = await subject.start({ actions: held, idleMs, absoluteMs, ...flow });
  return await flow.walk({
    browser: (cookie) => new Browser(app, cookie),
    async hold(browser, path) {
      const barrier = new Barrier();
      const index = barriers.push(barrier) - 1;
      const response = browser.request(`${path}${path.includes("?") ? "&" : "?"}barrier=${index}`);
      await barrier.arrived;
      return () => {
        barrier.release();
        return response;
      };
    },
    async failing(call, request) {
      app.fault.call = call;
      try {
        return await request();
      } finally {
        app.fault.call = undefined;
      }
    },
    wait,
  });
}

/** A session is an object of JSON values. */
async function look(browser: Browser): Promise<Record<string, unknown>> {
  return (await browser.get("look")) as Record<string, unknown>;
}

async function accountOf(browser: Browser): Promise<unknown> {
  return (await look(browser)).account;
}
