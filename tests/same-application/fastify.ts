import type { Server } from "node:http";
import type { SessionManager } from "@sojourn/core";
import { fastifySessions, sessionOf } from "@sojourn/fastify";
import fastify from "fastify";
import type { Shop } from "./shop.js";

export function serve(manager: SessionManager<Shop>, secret: string): Server {
  const app = fastify();
  app.register(fastifySessions, { manager, secret });

  app.post<{ Querystring: { user: string } }>("/login", async (request) => {
    const session = await sessionOf(request, manager);
    await session.regenerate({ userId: request.query.user });
    return {};
  });
  app.get("/profile", async (request, reply) => {
    const { userId } = await sessionOf(request, manager);
    return reply.code(userId === undefined ? 401 : 200).send({ userId });
  });
  app.post<{ Querystring: { item: string } }>("/cart", async (request) => {
    const { data } = await sessionOf(request, manager);
    data.cart = [...(data.cart ?? []), request.query.item];
    return data.cart;
  });
  app.post("/logout", async (request) => {
    const session = await sessionOf(request, manager);
    await session.destroy();
    return {};
  });
  app.get("/my-sessions", async (request) => {
    const session = await sessionOf(request, manager);
    return session.listMine();
  });
  void app.listen({ port: 0, host: "127.0.0.1" });
  return app.server;
}
