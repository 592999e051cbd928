import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { SessionManager } from "@sojourn/core";
import { ExpressSessionStore } from "@sojourn/express-session";
import express, { type Express } from "express";
import session, { MemoryStore, type Store } from "express-session";

export interface RaceOutcome {
  readonly store: string;
  /** The requests in the order of their answers. */
  readonly answers: readonly { readonly request: string; readonly status: number }[];
  /** Whether the cookie of the ended session was logged in again. */
  readonly revived: boolean;
}

/** Runs the same race on express-session's own store and on Sojourn, one after the other. */
export async function compareLogoutRaces(
  manager: SessionManager<Record<string, unknown>>,
  backend: string,
): Promise<RaceOutcome[]> {
  const sojourn = new ExpressSessionStore({ manager, userId: (data) => data.user?.id });
  return [
    { store: "express-session's MemoryStore", ...(await runLogoutRace(new MemoryStore())) },
    { store: `Sojourn on ${backend}`, ...(await runLogoutRace(sojourn)) },
  ];
}

/**
 * Runs one race over HTTP, on a free port of this machine: a slow request has loaded its session, the user logs out, and then
 * the slow request saves. Its order is fixed: the slow request waits until the logout is answered.
 */
async function runLogoutRace(store: Store): Promise<Omit<RaceOutcome, "store">> {
  const loaded = new Gate();
  const loggedOut = new Gate();
  const server = createServer(raceApp(store, loaded, loggedOut)).listen(0, "127.0.0.1");
  try {
    await once(server, "listening");
    // A server that listens on TCP has such an address.
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const answers: { request: string; status: number }[] = [];
    let cookie = "";
    const send = async (method: string, path: string): Promise<number> => {
      const response = await fetch(`${url}${path}`, { method, headers: { cookie } });
      cookie ||= response.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
      answers.push({ request: `${method} ${path}`, status: response.status });
      return response.status;
    };
    if ((await send("POST", "/login")) !== 200) throw new Error("the race has no session: its login failed");
    const slow = send("GET", "/slow");
    // If the logout fails, this promise is not awaited any more.
    slow.catch(() => {});
    await Promise.race([loaded.opened, slow]);
    await send("POST", "/logout");
    loggedOut.open();
    await slow;
    const revived = (await send("GET", "/profile")) === 200;
    return { answers, revived };
  } finally {
    loggedOut.open();
    server.close();
    server.closeAllConnections();
  }
}

function raceApp(store: Store, loaded: Gate, loggedOut: Gate): Express {
  const app = express();
  const secret = randomBytes(32).toString("base64url");
  app.use(session({ store, secret, resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 } }));
  app.post("/login", (req, res) => {
    req.session.user = { id: `race-${randomBytes(9).toString("base64url")}`, name: "racer" };
    res.sendStatus(200);
  });
  app.get("/slow", async (req, res) => {
    loaded.open();
    await loggedOut.opened;
    req.session.preferences = { saved: "late" };
    res.sendStatus(200);
  });
  app.post("/logout", (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.sendStatus(204)));
  });
  app.get("/profile", (req, res) => {
    res.sendStatus(req.session.user === undefined ? 401 : 200);
  });
  return app;
}

/** Holds those who await it until it is opened. */
class Gate {
  open: () => void = () => {};
  readonly opened: Promise<void> = new Promise((resolve) => {
    this.open = resolve;
  });
}
