import type { Server } from "node:http";
import { serve as serveFetch } from "@hono/node-server";
import type { SessionManager } from "@sojourn/core";
import { type RequestSession, webSessions } from "@sojourn/web";
import type { Shop } from "./shop.js";

type Handler = (session: RequestSession<Shop>, query: URLSearchParams) => Promise<Response>;

export function serve(manager: SessionManager<Shop>, secret: string): Server {
  const sessions = webSessions({ manager, secret });

  const routes: Record<string, Handler> = {
    async "POST /login"(session, query) {
      await session.regenerate({ userId: query.get("user") });
      return Response.json({});
    },
    async "GET /profile"({ userId }) {
      return Response.json({ userId }, { status: userId === undefined ? 401 : 200 });
    },
    async "POST /cart"({ data }, query) {
      data.cart = [...(data.cart ?? []), String(query.get("item"))];
      return Response.json(data.cart);
    },
    async "POST /logout"(session) {
      await session.destroy();
      return Response.json({});
    },
    async "GET /my-sessions"(session) {
      return Response.json(await session.listMine());
    },
  };
  const fetch = async (request: Request): Promise<Response> => {
    const { pathname, searchParams } = new URL(request.url);
    const route = routes[`${request.method} ${pathname}`];
    if (route === undefined) return new Response("", { status: 404 });
    return sessions.handle(request, (session) => route(session, searchParams));
  };
  return serveFetch({ fetch, hostname: "127.0.0.1", port: 0 }) as Server;
}
