import { Barrier } from "./barrier.js";
import { Browser } from "./browser.js";

/*
 * Races of requests on one session, over real HTTP, for stores of frameworks whose session is an object that requests
 * change. Each request is held at a barrier, so that the order is the one that hurts, every time.
 */

type Done = (error?: unknown) => void;

/** What express-session and @fastify/session have in common. */
export interface RaceRequest {
  readonly query: unknown;
  readonly session: {
    save(done: Done): unknown;
    regenerate(done: Done): unknown;
    destroy(done: Done): unknown;
    reload(done: Done): unknown;
  };
}

/** What a request does with its session. What it returns is the response, as JSON. */
export type RaceAction = (request: RaceRequest) => unknown;

export interface SessionRace {
  readonly id: string;
  readonly name: string;
  /** `slow` is the one that can be held. */
  readonly actions: Record<string, RaceAction>;
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
  (data: object): RaceAction =>
  ({ session }) =>
    void Object.assign(session, data);
const login = set({ account: "u1", cart: "u1's" });
const put: RaceAction = (request) => set({ [queryOf(request, "key")]: 1 })(request);
const logout: RaceAction = ({ session }) => called((done) => session.destroy(done));

export const sessionRaces: readonly SessionRace[] = [
  {
    id: "change-logout",
    name: "a slow request changes data, logout in between: logged in again",
    actions: { slow: put, logout },
    async play({ browser, hold, look }) {
      const finish = await hold("slow?key=late");
      await browser.get("logout");
      await finish();
      return (await look()).account !== undefined;
    },
  },
  {
    id: "read-logout",
    name: "a slow request changes nothing, logout in between: logged in again",
    actions: { slow: () => null, logout },
    async play({ browser, hold, look }) {
      const finish = await hold("slow");
      await browser.get("logout");
      await finish();
      return (await look()).account !== undefined;
    },
  },
  {
    id: "change-regenerate",
    name: "a slow request changes data, regenerate in between: the old id works again",
    actions: { slow: put, renew: ({ session }) => called((done) => session.regenerate(done)) },
    async play({ browser, hold, look }) {
      const finish = await hold("slow?key=late");
      await browser.get("renew");
      await finish();
      return (await look()).account !== undefined;
    },
  },
  {
    id: "different-keys",
    name: "5 requests set different keys: one is lost",
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
    id: "different-keys-at-once",
    name: "5 requests set different keys and end at once: one is lost",
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
    id: "delete-key",
    name: "a slow request changes data, another deletes a key: it comes back, or the change is lost",
    actions: { slow: put, drop: ({ session }) => Reflect.deleteProperty(session, "cart") },
    async play({ browser, hold, look }) {
      const finish = await hold("slow?key=late");
      await browser.get("drop");
      await finish();
      const stored = await look();
      return stored.cart !== undefined || stored.late !== 1;
    },
  },
  {
    id: "delete-user",
    name: "a slow request changes data, another deletes the user: the user is back",
    actions: { slow: put, leave: ({ session }) => Reflect.deleteProperty(session, "account") },
    async play({ browser, hold, look }) {
      const finish = await hold("slow?key=late");
      await browser.get("leave");
      await finish();
      return (await look()).account !== undefined;
    },
  },
  {
    id: "switch-user",
    name: "a slow request of one user, another logs in on the session: the late write lands in the wrong one",
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
    id: "save-twice",
    name: "a slow request saves twice, another writes before: what the other wrote is undone",
    actions: {
      slow: async ({ session }) => {
        Object.assign(session, { first: 1 });
        await called((done) => session.save(done));
        Object.assign(session, { second: 1 });
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

/** Where the actions of a race are served, each under its name. */
export interface RaceTrack extends AsyncDisposable {
  readonly url: string;
}

/** Plays a race as often as asked; answers how often the session came out wrong. */
export async function countLosses(
  { actions, play }: SessionRace,
  serve: (actions: Record<string, RaceAction>) => Promise<RaceTrack>,
  rounds: number,
): Promise<number> {
  const barriers: Barrier[] = [];
  const slow: RaceAction = async (request) => {
    await barriers[Number(queryOf(request, "barrier"))]?.wait();
    return actions.slow?.(request);
  };
  await using app = await serve({ ...actions, login, look: ({ session }) => session, slow });
  let losses = 0;
  for (let round = 0; round < rounds; round++) {
    if (await play(await begin(app, barriers))) losses++;
  }
  return losses;
}

/** Logs a fresh browser in, and makes what a race needs to hold its requests. */
async function begin(app: RaceTrack, barriers: Barrier[]): Promise<Round> {
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

function called(start: (done: Done) => unknown): Promise<void> {
  return new Promise((resolve, reject) => void start((error) => (error ? reject(error) : resolve())));
}

function queryOf({ query }: RaceRequest, key: string): string {
  return String(typeof query === "object" && query !== null ? Reflect.get(query, key) : undefined);
}
