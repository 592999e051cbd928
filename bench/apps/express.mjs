import { ExpressSessionStore } from "@sojourn/express-session";
import express from "express";
import session from "express-session";
import { backends } from "../backends/index.mjs";
import { sessionData } from "../lib/session-data.mjs";
import { DecodingStore, NothingStore } from "./idle-stores.mjs";

export const title = "Express 5 with express-session, a logged-in GET";
export const packages = ["express", "express-session", "autocannon"];
export const setting =
  "64 connections, each a session of 1 KB; cookie.maxAge of 30 minutes; resave and saveUninitialized off";
/** Whom the others are compared with. */
export const reference = "a store that does nothing";
export const path = import.meta.url;

/** By name: its level, its backend, the driver if it is not the backend's default one, and the application. */
export const subjects = {
  "no session": { level: "driver", open: () => serveApp(undefined) },
  "a store that does nothing": { level: "driver", open: (place) => serveApp(new NothingStore(), place) },
  "a store that only decodes": { level: "driver", open: (place) => serveApp(new DecodingStore(), place) },
  ...Object.fromEntries(
    Object.entries(backends).flatMap(([name, backend]) => [...peersOf(name, backend), ...oursOf(name, backend)]),
  ),
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

/** Ends with its process. */
async function serveApp(store, { payloadBytes } = {}) {
  const app = express();
  if (store !== undefined) {
    const cookie = { maxAge: 30 * 60_000 };
    app.use(
      session({ store, secret: "a secret of thirty-two characters", cookie, resave: false, saveUninitialized: false }),
    );
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
  const server = await new Promise((resolve) => {
    const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
  });
  return { port: server.address().port, close: () => server.close() };
}
