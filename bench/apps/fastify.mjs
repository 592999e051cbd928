import cookiePlugin from "@fastify/cookie";
import peerPlugin from "@fastify/session";
import { FastifySessionStore, fastifySessions } from "@sojourn/fastify";
import Fastify from "fastify";
import { backends } from "../backends/index.mjs";
import { sessionData } from "../lib/session-data.mjs";
import { NothingStore } from "./idle-stores.mjs";

const secret = "a secret of thirty-two characters";

export const title = "Fastify 5, a logged-in GET";
export const packages = ["fastify", "@fastify/session", "@fastify/cookie", "autocannon"];
export const setting = "64 connections, each a session of 1 KB; defaults of both plugins, saveUninitialized off";
/** Whom the others are compared with. */
export const reference = "no session";
export const path = import.meta.url;

/** By name: its level, its backend, the driver if it is not the backend's default one, the path to request, and the application. */
export const subjects = {
  "no session": { level: "driver", open: () => serveApp(async () => {}) },
  "Sojourn, route without session": {
    level: "ours",
    backend: "memory",
    path: "/public",
    open: (place) => serveOurs(backends.memory.open, place),
  },
  ...Object.fromEntries(
    Object.entries(backends).flatMap(([name, { open, openThrough = {} }]) => [
      [`Sojourn, ${name}`, { level: "ours", backend: name, open: (place) => serveOurs(open, place) }],
      ...Object.entries(openThrough).map(([driver, openStore]) => [
        `Sojourn, ${name}, ${driver}`,
        { level: "ours", backend: name, driver, open: (place) => serveOurs(openStore, place) },
      ]),
      [
        `@fastify/session, Sojourn's store, ${name}`,
        { level: "ours", backend: name, open: (place) => serveOurStore(open, place) },
      ],
    ]),
  ),
  "@fastify/session, a store that does nothing": {
    level: "peer",
    open: (place) => servePeer(new NothingStore(), place),
  },
  "@fastify/session, its memory store": { level: "peer", open: (place) => servePeer(undefined, place) },
  ...Object.fromEntries(
    Object.entries(backends).flatMap(([name, { peers }]) =>
      Object.entries(peers).map(([peer, open]) => [
        `@fastify/session, ${peer}`,
        { level: "peer", backend: name, open: async (place) => servePeer((await open(place)).store, place) },
      ]),
    ),
  ),
};

async function serveOurs(open, place) {
  const { store } = await open(place);
  return serveApp(async (app) => {
    await app.register(fastifySessions, { store, secret });
    app.post("/login", async (request) => {
      const session = await request.session;
      Object.assign(session.data, sessionData(Number(request.query.n), place.payloadBytes));
      return "";
    });
  });
}

async function serveOurStore(open, place) {
  const { store } = await open(place);
  return servePeer(new FastifySessionStore({ store, userId: ({ userId }) => userId }), place);
}

async function servePeer(store, { payloadBytes }) {
  return serveApp(async (app) => {
    await app.register(cookiePlugin);
    const cookie = { maxAge: 30 * 60_000, secure: false };
    await app.register(peerPlugin, { secret, cookie, saveUninitialized: false, ...(store && { store }) });
    app.post("/login", async (request) => {
      // Its cookie is part of what is stored.
      const data = sessionData(Number(request.query.n), payloadBytes - 100);
      for (const [key, value] of Object.entries(data)) request.session.set(key, value);
      return "";
    });
  });
}

/** Ends with its process. */
async function serveApp(addSessions) {
  const app = Fastify();
  await addSessions(app);
  if (!app.hasRoute({ method: "POST", url: "/login" })) app.post("/login", async () => "");
  app.get("/public", async () => "Hello everybody");
  app.get("/", async (request) => {
    if (!app.hasRequestDecorator("session")) return "Hello visitor";
    const session = await request.session;
    const data = session.data ?? session;
    if (data.userId === undefined) throw new Error("not logged in");
    return `Hello ${data.user.name}`;
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  return { port: app.server.address().port, close: () => app.close() };
}
