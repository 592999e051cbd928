import { gatherWrites } from "@sojourn/core/adapter";
import type { MemjsServer, MemjsSocket } from "./wire.js";

/*
 * memjs has one state for all connections that a server ever has. What the last one left would spoil the next: half an
 * answer is read as the beginning of all that follow, a late close takes the new connection for the old one, a request that
 * was queued before a login is sent long after its caller has gone. So a connection that has failed one request is given
 * up, with everything that memjs knows of it.
 */

const lastSockets = new WeakMap<MemjsServer, MemjsSocket>();

/** To be called before each request: makes sure that nothing is left of a connection that has ended. */
export function prepare(server: MemjsServer): void {
  if (server._socket === undefined) giveUp(server, lastSockets.get(server));
}

/** Hands a request over. @returns the connection that takes it */
export function send(server: MemjsServer, request: Buffer): MemjsSocket | undefined {
  gatherWrites(server._socket);
  server.write(request);
  const socket = server._socket;
  if (socket !== undefined) lastSockets.set(server, socket);
  return socket;
}

/** Ends a connection and fails what is under way on it. The one that the server may have by then goes on. */
export function giveUp(server: MemjsServer, socket: MemjsSocket | undefined): void {
  // What memjs would do at its close concerns whatever connection the server has then.
  socket?.removeAllListeners("close");
  socket?.destroy();
  if (server._socket !== undefined && server._socket !== socket) return;
  server.responseBuffer = Buffer.alloc(0);
  server.removeAllListeners("authenticated");
  server.error(Object.assign(new Error("the connection was given up"), { code: "ECONNRESET" }));
}
