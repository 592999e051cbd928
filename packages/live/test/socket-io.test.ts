import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { io, type Socket } from "socket.io-client";
import { expect, onTestFinished, test } from "vitest";
import { type Node, openPair } from "./support.js";

/** Events that a server declares. A typed socket is accepted, too. */
interface ServerEvents {
  greeting: (text: string) => void;
}

/** Serves socket.io for the sessions of a node, and returns its URL. A client presents its token in the handshake. */
async function serve({ sessions, live }: Node): Promise<string> {
  const http = createServer().listen(0, "127.0.0.1");
  await once(http, "listening");
  const server = new Server<Record<string, never>, ServerEvents>(http);
  server.on("connection", async (socket) => {
    const session = await sessions.get(String(socket.handshake.auth.token));
    if (session === undefined) return void socket.disconnect(true);
    live.add(session, socket);
    socket.emit("greeting", "welcome");
  });
  onTestFinished(() => server.close());
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

async function open(url: string, token: string, transport: string): Promise<Socket> {
  const socket = io(url, { auth: { token }, transports: [transport], forceNew: true });
  onTestFinished(() => void socket.close());
  await new Promise((resolve) => socket.once("greeting", resolve));
  return socket;
}

test.each(["polling", "websocket"])(
  "a socket over %s gets the event session-closed and is disconnected",
  async (transport) => {
    const { here, there } = openPair();
    const url = await serve(here);
    const { token } = await there.sessions.create();
    const [socket, leaving] = [await open(url, token, transport), await open(url, token, transport)];
    expect(here.live.statistics()).toMatchObject({ connections: 2, sessions: 1 });

    leaving.close();
    await expect.poll(() => here.live.statistics().connections).toBe(1);

    const told = new Promise((resolve) => socket.once("session-closed", resolve));
    const disconnected = new Promise((resolve) => socket.once("disconnect", resolve));
    await there.sessions.destroy(token);
    expect(await told).toEqual({ code: 4401, reason: "ended" });
    expect(await disconnected).toBe("io server disconnect");
    expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0, closed: 1 });
  },
);
