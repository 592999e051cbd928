import session, { type Store } from "express-session";
import { afterAll, describe, expect, test } from "vitest";
import { type Action, type App, Barrier, Browser, expressVersions, serve, setUp } from "./support.js";

/*
 * Races of requests on one session, over real HTTP. Each request is held at a barrier, so that the order is the one that
 * hurts, every time. The same requests go to express-session's own MemoryStore: the table says what happens there.
 */

const rounds = 10;

interface Race {
  readonly name: string;
  /** Whether a blind store loses it. */
  readonly isLostByMemoryStore: boolean;
  /** `slow` is the one that can be held. */
  readonly actions: Record<string, Action>;
  /** Plays one round with a fresh browser; answers whether the session came out wrong. */
  play(round: Round): Promise<boolean>;
}

interface Round {
  readonly browser: Browser;
  /** Starts a request that waits before its action, with its session loaded; answers the function that lets it go on and waits for its end. */
  hold(path: string): Promise<() => Promise<unknown>>;
  /** What a browser with the cookie of the beginning finds in its session. */
  look(): Promise<Record<string, unknown>>;
}

const set =
  (data: object): Action =>
  (req) => {
    Object.assign(req.session, data);
  };
const login = set({ account: "u1", cart: "u1's" });
const put: Action = (req) => set({ [String(req.query.key)]: 1 })(req);

const races: Race[] = [
  {
    name: "a slow request changes data, logout in between: logged in again",
    isLostByMemoryStore: true,
    actions: { slow: put, logout: (req) => new Promise((done) => req.session.destroy(done)) },
    async play({ browser, hold, look }) {
      const finish = await hold("slow?key=late");
      await browser.get("logout");
      await finish();
      return (await look()).account !== undefined;
    },
  },
  {
    name: "a slow request changes nothing, logout in between: logged in again",
    isLostByMemoryStore: false,
    actions: { slow: () => null, logout: (req) => new Promise((done) => req.session.destroy(done)) },
    async play({ browser, hold, look }) {
      const finish = await hold("slow");
      await browser.get("logout");
      await finish();
      return (await look()).account !== undefined;
    },
  },
  {
    name: "a slow request changes data, regenerate in between: the old id works again",
    isLostByMemoryStore: true,
    actions: { slow: put, renew: (req) => new Promise((done) => req.session.regenerate(done)) },
    async play({ browser, hold, look }) {
      const finish = await hold("slow?key=late");
      await browser.get("renew");
      await finish();
      return (await look()).account !== undefined;
    },
  },
  {
    name: "5 requests set different keys: one is lost",
    isLostByMemoryStore: true,
    actions: { slow: put },
    async play({ hold, look }) {
      const finishes = [];
      for (const key of ["a", "b", "c", "d", "e"]) finishes.push(await hold(`slow?key=${key}`));
      for (const finish of finishes) await finish();
      const stored = await look();
      return ["a", "b", "c", "d", "e"].some((key) => stored[key] !== 1);
    },
  },
  {
    name: "5 requests set different keys and end at once: one is lost",
    isLostByMemoryStore: true,
    actions: { slow: put },
    async play({ hold, look }) {
      const finishes = [];
      for (const key of ["a", "b", "c", "d", "e"]) finishes.push(await hold(`slow?key=${key}`));
      await Promise.all(finishes.map((finish) => finish()));
      const stored = await look();
      return ["a", "b", "c", "d", "e"].some((key) => stored[key] !== 1);
    },
  },
  {
    name: "a slow request changes data, another deletes a key: it comes back, or the change is lost",
    isLostByMemoryStore: true,
    actions: { slow: put, drop: (req) => delete req.session.cart },
    async play({ browser, hold, look }) {
      const finish = await hold("slow?key=late");
      await browser.get("drop");
      await finish();
      const stored = await look();
      return stored.cart !== undefined || stored.late !== 1;
    },
  },
  {
    name: "a slow request changes data, another deletes the user: the user is back",
    isLostByMemoryStore: true,
    actions: { slow: put, leave: (req) => delete req.session.account },
    async play({ browser, hold, look }) {
      const finish = await hold("slow?key=late");
      await browser.get("leave");
      await finish();
      return (await look()).account !== undefined;
    },
  },
  {
    name: "a slow request of one user, another logs in on the session: the late write lands in the wrong one",
    isLostByMemoryStore: true,
    actions: {
      slow: set({ cart: "u1's, and more" }),
      switch: set({ account: "u2", cart: "u2's" }),
    },
    async play({ browser, hold, look }) {
      const finish = await hold("slow");
      await browser.get("switch");
      await finish();
      const { account, cart } = await look();
      return account !== "u2" || cart !== "u2's";
    },
  },
  {
    name: "a slow request saves twice, another writes before: what the other wrote is undone",
    isLostByMemoryStore: true,
    actions: {
      slow: async (req) => {
        req.session.first = 1;
        await new Promise((done) => req.session.save(done));
        req.session.second = 1;
      },
      other: set({ cart: "another", theirs: 1 }),
    },
    async play({ browser, hold, look }) {
      const finish = await hold("slow");
      await browser.get("other");
      await finish();
      const { first, second, cart, theirs } = await look();
      return first !== 1 || second !== 1 || cart !== "another" || theirs !== 1;
    },
  },
];

const outcomes: Record<string, string>[] = [];
afterAll(() => {
  console.table(outcomes);
});

describe.each(expressVersions)("%s", (version, express) => {
  test.each(races)("$name", async ({ name, isLostByMemoryStore, actions, play }) => {
    const lost = async (store: Store): Promise<number> => {
      const barriers: Barrier[] = [];
      const slow: Action = async (req) => {
        await barriers[Number(req.query.barrier)]?.wait();
        return actions.slow?.(req);
      };
      await using app = await serve(express, store, { ...actions, login, look: (req) => req.session, slow });
      let losses = 0;
      for (let round = 0; round < rounds; round++) {
        if (await play(await begin(app, barriers))) losses++;
      }
      expect(app.errors).toEqual([]);
      return losses;
    };
    const ours = setUp({ userId: ({ account }) => account });
    const theirs = await lost(new session.MemoryStore());
    const held = await lost(ours.store);
    outcomes.push({
      version,
      race: name,
      "express-session's MemoryStore": `${theirs}/${rounds}`,
      Sojourn: `${held}/${rounds}`,
    });
    expect({ theirs, ours: held }).toEqual({ theirs: isLostByMemoryStore ? rounds : 0, ours: 0 });
    await ours.store.manager.close();
  });
});

/** Logs a fresh browser in, and makes what a race needs to hold its requests. */
async function begin(app: App, barriers: Barrier[]): Promise<Round> {
  const browser = new Browser(app);
  await browser.get("login");
  const { cookie } = browser;
  return {
    browser,
    async hold(path) {
      const barrier = new Barrier();
      const index = barriers.push(barrier) - 1;
      const response = new Browser(app, cookie).get(`${path}${path.includes("?") ? "&" : "?"}barrier=${index}`);
      await barrier.arrived;
      return () => {
        barrier.release();
        return response;
      };
    },
    // A session is an object of JSON values.
    look: async () => (await new Browser(app, cookie).get("look")) as Record<string, unknown>,
  };
}
