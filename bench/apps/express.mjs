import { SessionManager } from "@sojourn/core";
import { expressSessions } from "@sojourn/express";
import { ExpressSessionStore } from "@sojourn/express-session";
import express from "express";
import session from "express-session";
import { backends } from "../backends/index.mjs";
import { sessionData } from "../lib/session-data.mjs";
import { DecodingStore, NothingStore } from "./idle-stores.mjs";

export const title = "Express 5 with express-session and with Sojourn's middleware, a logged-in GET";
export const packages = ["express", "express-session", "autocannon"];
export const setting =
  "64 connections, each a session of 1 KB; cookie.maxAge of 30 minutes; resave and saveUninitialized off";
/** Whom the others are compared with. */
export const reference = "a store that does nothing";
export const path = import.meta.url;

const secret = "a secret of thirty-two characters";

/** By name: its level, its backend, the driver if it is not the backend's default one, the path to request, and the application. */
export const subjects = {
  "no session": { level: "driver", open: () => serveApp(undefined) },
  "a store that does nothing": { level: "driver", open: (place) => serveApp(new NothingStore(), place) },
  "a store that only decodes": { level: "driver", open: (place) => serveApp(new DecodingStore(), place) },
  ...Object.fromEntries(
    Object.entries(backends).flatMap(([name, backend]) => [...peersOf(name, backend), ...oursOf(name, backend)]),
  ),
  ...Object.fromEntries(["memory", "redis", "postgres"].flatMap((name) => middlewareOf(name, backends[name]))),
};

function peersOf(name, { peers }) {
  return Object.entries(peers).map(([peer, open]) => [
    peer,
    { level: "peer", backend: name, open: async (place) => serveApp((await open(place)).store, place) },
  ]);
}

/** With the bridge's defaults, through each driver, and with a write at each request, as every peer has it. */
function oursOf(name, { open, openThrough = {} }) {
  const subject = (openStore, options) => ({
    level: "ours",
    backend: name,
    open: async (place) => {
      const { store } = await openStore(place);
      return serveApp(new ExpressSessionStore({ store, userId: (data) => data.userId, ...options }), place);
    },
  });
  return [
    [`Sojourn, ${name}`, subject(open)],
    ...Object.entries(openThrough).map(([driver, openStore]) => [
      `Sojourn, ${name}, ${driver}`,
      { ...subject(openStore), driver },
    ]),
    [`Sojourn, ${name}, each writing`, subject(open, { touchAfter: 0 })],
  ];
}

/** The middleware without express-session: the session as an object, by `await`, and in a route that does not ask for it. */
function middlewareOf(name, { open }) {
  const subject = (eager, path) => ({
    level: "ours",
    backend: name,
    path,
    open: async (place) => {
      const { store } = await open(place);
      return serveOwn(new SessionManager({ store, idleTimeout: "30m" }), place, eager);
    },
  });
  return [
    [`Sojourn's middleware, ${name}, eager`, subject(true, "/")],
    [`Sojourn's middleware, ${name}, lazy`, subject(false, "/")],
    [`Sojourn's middleware, ${name}, untouched`, subject(false, "/public")],
  ];
}

async function serveOwn(manager, { payloadBytes }, eager) {
  const app = express();
  app.use(expressSessions({ manager, secret, eager, cookie: { secure: false } }));
  app.post("/login", async (req, res) => {
    const { user, userId, ...data } = sessionData(Number(req.query.n), payloadBytes - 100);
    const session = await req.session;
    Object.assign(session.data, data, { user });
    await session.regenerate({ userId });
    res.sendStatus(204);
  });
  app.get("/", eager ? (req, res) => greet(req.session, res) : async (req, res) => greet(await req.session, res));
  app.get("/public", (_req, res) => void res.type("text/plain").send("Hello"));
  return listen(app);
}

function greet({ userId, data }, res) {
  if (userId === undefined) throw new Error("not logged in");
  res.type("text/plain").send(`Hello ${data.user.name}`);
}

async function serveApp(store, { payloadBytes } = {}) {
  const app = express();
  if (store !== undefined) {
    const cookie = { maxAge: 30 * 60_000 };
    app.use(session({ store, secret, cookie, resave: false, saveUninitialized: false }));
  }
  app.post("/login", (req, res) => {
    // Its cookie is part of what is stored.
    if (store !== undefined) Object.assign(req.session, sessionData(Number(req.query.n), payloadBytes - 100));
    res.sendStatus(204);
  });
  app.get("/", (req, res) => {
    if (store !== undefined && req.session.userId === undefined) throw new Error("not logged in");
    res.type("text/plain").send(`Hello ${req.session?.user.name}`);
  });
  return listen(app);
}

/** Ends with its process. */
async function listen(app) {
  const server = await new Promise((resolve) => {
    const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
  });
  return { port: server.address().port, close: () => server.close() };
}
