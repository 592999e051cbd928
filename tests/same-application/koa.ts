import type { Server } from "node:http";
import type { SessionManager } from "@sojourn/core";
import { koaSessions, sessionOf } from "@sojourn/koa";
import Koa, { type Context } from "koa";
import type { Shop } from "./shop.js";

export function serve(manager: SessionManager<Shop>, secret: string): Server {
  const app = new Koa();
  app.use(koaSessions({ manager, secret }));

  const routes: Record<string, (ctx: Context) => Promise<unknown>> = {
    async "POST /login"(ctx) {
      const session = await sessionOf(ctx, manager);
      await session.regenerate({ userId: String(ctx.query.user) });
      return {};
    },
    async "GET /profile"(ctx) {
      const { userId } = await sessionOf(ctx, manager);
      ctx.status = userId === undefined ? 401 : 200;
      return { userId };
    },
    async "POST /cart"(ctx) {
      const { data } = await sessionOf(ctx, manager);
      data.cart = [...(data.cart ?? []), String(ctx.query.item)];
      return data.cart;
    },
    async "POST /logout"(ctx) {
      const session = await sessionOf(ctx, manager);
      await session.destroy();
      return {};
    },
    async "GET /my-sessions"(ctx) {
      const session = await sessionOf(ctx, manager);
      return session.listMine();
    },
  };
  app.use(async (ctx) => {
    ctx.body = await routes[`${ctx.method} ${ctx.path}`]?.(ctx);
  });
  return app.listen(0, "127.0.0.1");
}
