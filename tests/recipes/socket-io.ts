import { randomBytes } from "node:crypto";
import { SessionManager } from "@sojourn/core";
import { expressSessions, sessionOf } from "@sojourn/express";
import { MemoryStore } from "@sojourn/memory";
import type { Server } from "socket.io";

export const manager = new SessionManager<{ cart: string[] }>({ store: new MemoryStore() });
const secret = process.env.SESSION_SECRET ?? randomBytes(32).toString("base64url");
/** For `app.use`, too: the login is a request. */
export const sessions = expressSessions({ manager, secret });

export function serveSockets(io: Server): void {
  io.engine.use(sessions);
  io.use(async (socket, next) => {
    const session = await sessionOf(socket.request, manager).catch(() => undefined);
    next(session?.userId === undefined ? new Error("log in first") : undefined);
  });
  io.on("connection", async (socket) => {
    const session = await sessionOf(socket.request, manager);
    socket.join(`session:${session.id}`);
    socket.on("add", async (item, answer) => {
      // Events of one socket run at once: `update` reads the stored data, and loses no item.
      const add = session.update(({ cart = [], ...data }) => ({ ...data, cart: [...cart, item] }));
      if (await add.catch(() => false)) answer(session.data.cart);
      else socket.disconnect();
    });
  });
  const disconnect = (id: string): void => io.in(`session:${id}`).disconnectSockets();
  manager.on("destroyed", ({ id }) => disconnect(id));
  manager.on("regenerated", ({ previousId }) => disconnect(previousId));
}
