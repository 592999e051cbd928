import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import fastifyWebsocket from "@fastify/websocket";
import { SessionManager } from "@sojourn/core";
import { fastifySessions, sessionOf } from "@sojourn/fastify";
import { MemoryStore } from "@sojourn/memory";
import type { FastifyInstance } from "fastify";

export const manager = new SessionManager<{ cart: string[] }>({ store: new MemoryStore() });
const secret = process.env.SESSION_SECRET ?? randomBytes(32).toString("base64url");
const ended = new EventEmitter().setMaxListeners(0);
manager.on("destroyed", ({ id }) => ended.emit(id));
manager.on("regenerated", ({ previousId }) => ended.emit(previousId));

export async function serveSockets(app: FastifyInstance): Promise<void> {
  await app.register(fastifySessions, { manager, secret });
  await app.register(fastifyWebsocket);
  app.get("/live", { websocket: true }, async (socket, request) => {
    const close = (): void => socket.close(4401, "log in again");
    socket.on("message", async () => {
      const session = await sessionOf(request, manager).catch(() => undefined);
      if (await session?.reload().catch(() => false)) socket.send(JSON.stringify(session?.data.cart ?? []));
      else close();
    });
    const { id, userId } = await sessionOf(request, manager);
    if (id === undefined || userId === undefined) return close();
    ended.once(id, close);
    socket.on("close", () => ended.off(id, close));
  });
}
