import type { Server } from "node:http";
import { serve as serveFetch } from "@hono/node-server";
import type { SessionManager } from "@sojourn/core";
import { type RequestSession, webSessions } from "@sojourn/web";
import { Hono } from "hono";
import type { Shop } from "./shop.js";

export function serve(manager: SessionManager<Shop>, secret: string): Server {
  const sessions = webSessions({ manager, secret });
  const app = new Hono<{ Variables: { session: RequestSession<Shop> } }>();
  app.use(async (c, next) => {
    const session = await sessions.open(c.req.raw);
    c.set("session", session);
    await next();
    const response = await sessions.commit(session, c.res);
    if (response === c.res) return;
    c.res = undefined; // Hono would put the headers of the response before over the new ones
    c.res = response;
  });

  app.post("/login", async (c) => {
    await c.var.session.regenerate({ userId: c.req.query("user") ?? null });
    return c.json({});
  });
  app.get("/profile", (c) => {
    const { userId } = c.var.session;
    return c.json({ userId }, userId === undefined ? 401 : 200);
  });
  app.post("/cart", (c) => {
    const { data } = c.var.session;
    data.cart = [...(data.cart ?? []), String(c.req.query("item"))];
    return c.json(data.cart);
  });
  app.post("/logout", async (c) => {
    await c.var.session.destroy();
    return c.json({});
  });
  app.get("/my-sessions", async (c) => c.json(await c.var.session.listMine()));
  return serveFetch({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }) as Server;
}
