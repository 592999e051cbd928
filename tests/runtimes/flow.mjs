// Serves an application by the runtime's own server, and prints what its clients saw. Runs in Bun and in Deno.
import { randomBytes } from "node:crypto";
import { SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { webSessions } from "@sojourn/web";

const manager = new SessionManager({ store: new MemoryStore() });
const sessions = webSessions({ manager, secret: randomBytes(32).toString("base64url") });

const routes = {
  async "/add"({ data }, item) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    data[item] = true;
    return { ...data };
  },
  async "/login"(session, userId) {
    await session.regenerate({ userId });
    return "ok";
  },
  "/read": ({ userId, data }) => ({ userId, data: { ...data } }),
  "/my-sessions": async (session) => (await session.listMine()).length,
  "/logout": (session) => session.destroy(),
};
const handle = (request) => {
  const { pathname, search } = new URL(request.url);
  return sessions.handle(request, async (session) =>
    Response.json((await routes[pathname](session, search.slice(1))) ?? null),
  );
};

const server = await serve();
const client = (cookie) => ({
  cookie,
  async get(path) {
    const response = await fetch(`${server.url}/${path}`, { headers: this.cookie ? { cookie: this.cookie } : {} });
    this.cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? this.cookie;
    return response.json();
  },
});
const ann = client();
await ann.get("add?a");
await ann.get("login?ann");
await Promise.all([ann.get("add?b"), ann.get("add?c")]);
const merged = await ann.get("read");
const sessionsOfAnn = await ann.get("my-sessions");
const thief = client(ann.cookie);
await ann.get("logout");
const afterLogout = await thief.get("read");
await server.stop();
await manager.close();
console.log(JSON.stringify({ merged, sessionsOfAnn, afterLogout }));

/** @returns the address of a server of this runtime, and how to stop it */
async function serve() {
  const hostname = "127.0.0.1";
  if (globalThis.Bun !== undefined) {
    const running = Bun.serve({ hostname, port: 0, fetch: handle });
    return { url: `http://${hostname}:${running.port}`, stop: () => running.stop(true) };
  }
  const running = Deno.serve({ hostname, port: 0, onListen() {} }, handle);
  return { url: `http://${hostname}:${running.addr.port}`, stop: () => running.shutdown() };
}
