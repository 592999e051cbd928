import { once } from "node:events";
import { serve } from "@hono/node-server";
import { useSession } from "@hono/session";
import { webSessions } from "@sojourn/web";
import { Hono } from "hono";
import { getIronSession } from "iron-session";
import { backends } from "../backends/index.mjs";
import { sessionData } from "../lib/session-data.mjs";

const secret = "a secret of thirty-two characters";

export const title = "Hono 4 on Node's server, a logged-in GET";
export const packages = ["hono", "@hono/node-server", "iron-session", "@hono/session", "autocannon"];
export const setting = "64 connections, each a session of 1 KB; iron-session and @hono/session keep it in the cookie";
/** Whom the others are compared with. */
export const reference = "no session";
export const path = import.meta.url;

/** By name: its level, its backend, and the application. */
export const subjects = {
  "no session": { level: "driver", open: (place) => serveApp(place, undefined) },
  "Sojourn, memory": { level: "ours", backend: "memory", open: (place) => serveOurs(backends.memory.open, place) },
  "iron-session": { level: "peer", open: serveIronSession },
  "@hono/session": { level: "peer", open: serveHonoSession },
};

async function serveOurs(open, place) {
  const { store } = await open(place);
  const sessions = webSessions({ store, secret });
  return serveApp(place, async (c, answer) => {
    const session = await sessions.open(c.req.raw);
    return sessions.commit(session, await answer(session.data, (data) => Object.assign(session.data, data)));
  });
}

function serveIronSession(place) {
  return serveApp(place, async (c, answer) => {
    const response = new Response("");
    const session = await getIronSession(c.req.raw, response, { password: secret, cookieName: "iron" });
    const answered = await answer(session, async (data) => {
      Object.assign(session, data);
      await session.save();
    });
    for (const cookie of response.headers.getSetCookie()) answered.headers.append("set-cookie", cookie);
    return answered;
  });
}

function serveHonoSession(place) {
  return serveApp(
    place,
    async (c, answer) => {
      const { session } = c.var;
      return answer((await session.get()) ?? {}, (data) => session.update(data));
    },
    useSession({ secret }),
  );
}

/**
 * Ends with its process.
 *
 * @param withSession - calls `answer` with the data of the session and a function that stores data, and returns its response
 */
async function serveApp({ payloadBytes }, withSession, ...middlewares) {
  const app = new Hono();
  for (const middleware of middlewares) app.use(middleware);
  const isBare = withSession === undefined;
  app.post("/login", (c) => {
    if (isBare) return new Response("");
    return withSession(c, async (_, store) => {
      await store(sessionData(Number(c.req.query("n")), payloadBytes));
      return new Response("");
    });
  });
  app.get("/", (c) => {
    if (isBare) return new Response("Hello visitor");
    return withSession(c, (data) => {
      if (data.userId === undefined) throw new Error("not logged in");
      return new Response(`Hello ${data.user.name}`);
    });
  });
  const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 });
  await once(server, "listening");
  return { port: server.address().port, close: () => server.close() };
}
