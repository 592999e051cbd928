import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { LiveConnection } from "@sojourn/live";
import { onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { Node } from "./support.js";

interface SocketServer {
  readonly port: number;
  /** The connections that were added. */
  readonly added: LiveConnection[];
  /** The sockets of the server itself. */
  readonly sockets: WebSocketServer;
}

/** Serves WebSockets for the sessions of a node. A request presents its token as bearer. */
export async function serve({ sessions, live }: Node): Promise<SocketServer> {
  const sockets = new WebSocketServer({ noServer: true });
  const added: LiveConnection[] = [];
  const refuse = (socket: Duplex, status: string): void => void socket.end(`HTTP/1.1 ${status}\r\n\r\n`);
  const server = createServer().on("upgrade", async (request, socket, head) => {
    if (!live.isAllowedOrigin(request)) return refuse(socket, "403 Forbidden");
    const session = await sessions.get(request.headers.authorization?.slice(7) ?? "");
    if (session === undefined) return refuse(socket, "401 Unauthorized");
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      added.push(live.add(session, webSocket));
      webSocket.send("welcome");
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, added, sockets };
}

/** Opens a WebSocket, and resolves when the server has registered it. */
export async function open(port: number, token: string, headers: Record<string, string> = {}): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { headers: { authorization: `Bearer ${token}`, ...headers } });
  onTestFinished(() => socket.terminate());
  await once(socket, "message");
  return socket;
}

/** Resolves with the code and reason of the close. */
export async function closed(socket: WebSocket): Promise<[number, string]> {
  const [code, reason] = await once(socket, "close");
  return [code, String(reason)];
}
