import type { Server } from "node:http";
import type { SessionManager } from "@sojourn/core";
import { expressSessions, sessionOf } from "@sojourn/express";
import express from "express";
import type { Shop } from "./shop.js";

export function serve(manager: SessionManager<Shop>, secret: string): Server {
  const app = express();
  app.use(expressSessions({ manager, secret }));

  app.post("/login", async (req, res) => {
    const session = await sessionOf(req, manager);
    await session.regenerate({ userId: String(req.query.user) });
    res.json({});
  });
  app.get("/profile", async (req, res) => {
    const { userId } = await sessionOf(req, manager);
    res.status(userId === undefined ? 401 : 200).json({ userId });
  });
  app.post("/cart", async (req, res) => {
    const { data } = await sessionOf(req, manager);
    data.cart = [...(data.cart ?? []), String(req.query.item)];
    res.json(data.cart);
  });
  app.post("/logout", async (req, res) => {
    const session = await sessionOf(req, manager);
    await session.destroy();
    res.json({});
  });
  app.get("/my-sessions", async (req, res) => {
    const session = await sessionOf(req, manager);
    res.json(await session.listMine());
  });
  return app.listen(0, "127.0.0.1");
}
