import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { closed, open, serve } from "./socket-server.js";
import { openNodes, openPair } from "./support.js";

test("a WebSocket is closed with 4401, and one that closes by itself is removed", async () => {
  const { here, there } = openPair();
  const { port, added } = await serve(here);
  const { token } = await there.sessions.create();
  const [first, second] = [await open(port, token), await open(port, token)];
  expect(here.live.statistics()).toMatchObject({ connections: 2, sessions: 1 });

  second.close();
  await expect.poll(() => here.live.statistics().connections).toBe(1);
  expect(added.map(({ isOpen }) => isOpen)).toEqual([true, false]);

  const close = closed(first);
  await there.sessions.destroy(token);
  expect(await close).toEqual([4401, "ended"]);
  expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0, closed: 1 });
});

test("a WebSocket follows a regenerate, and no listener of it is left behind", async () => {
  const { here, there } = openPair();
  const { port, added, sockets } = await serve(here);
  const { token } = await there.sessions.create({ userId: "42", data: {} });
  const socket = await open(port, token);
  const [serverSide] = sockets.clients;
  const moved = await there.sessions.regenerate(token);
  await expect.poll(() => added[0]?.id).toBe(moved?.session.id);
  expect(socket.readyState).toBe(WebSocket.OPEN);

  const before = serverSide?.listenerCount("close") ?? 0;
  added[0]?.remove();
  expect(serverSide?.listenerCount("close")).toBe(before - 1);
  expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0 });
  expect(socket.readyState).toBe(WebSocket.OPEN);
});

test("a socket that was closed before it was added is not registered", async () => {
  const { here } = openPair();
  const { port, sockets } = await serve(here);
  const { token, session } = await here.sessions.create();
  await open(port, token);
  const [serverSide] = sockets.clients;
  if (serverSide === undefined) throw new Error("a socket is open");
  serverSide.terminate();
  await once(serverSide, "close");
  expect(here.live.add(session, serverSide).isOpen).toBe(false);
  expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0 });
});

test("a page of another site, and an ended session, get no WebSocket", async () => {
  const { here } = openPair({ origins: ["https://shop.example"] });
  const { port } = await serve(here);
  const { token } = await here.sessions.create();
  await expect(open(port, token, { origin: "https://evil.example" })).rejects.toThrow("403");
  await open(port, token, { origin: "https://shop.example" });
  await here.sessions.destroy(token);
  await expect(open(port, token, { origin: "https://shop.example" })).rejects.toThrow("401");
});

test("a peer that does not answer the close is cut off", async () => {
  const { here } = openPair();
  const { port, added, sockets } = await serve(here);
  const { token } = await here.sessions.create();
  const peer = connect(port, "127.0.0.1");
  onTestFinished(() => void peer.destroy());
  peer.write(
    `GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer ${token}\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  );
  peer.resume();
  await expect.poll(() => added.length).toBe(1);
  await here.sessions.destroy(token);
  expect(added[0]?.isOpen).toBe(false);
  expect(sockets.clients.size).toBe(1);
  // `ws` itself waits for 30 s.
  const gone = await Promise.race([once(peer, "close").then(() => "cut"), delay(15_000, "open", { ref: false })]);
  expect(gone).toBe("cut");
  await expect.poll(() => sockets.clients.size).toBe(0);
});

test("120 sockets on three nodes: one log-out-everywhere closes all of them, and no other", async () => {
  const { nodes } = openNodes(3);
  const [first] = nodes;
  const servers = await Promise.all(nodes.map(serve));
  const perNode = async (userId: string, count: number) => {
    const opened = servers.map(async ({ port }) => {
      const created = await Promise.all(
        Array.from({ length: count }, () => first?.sessions.create({ userId, data: {} })),
      );
      return Promise.all(created.map((session) => open(port, session?.token ?? "")));
    });
    return (await Promise.all(opened)).flat();
  };
  const [mine, others] = [await perNode("42", 40), await perNode("43", 2)];
  expect(nodes.map(({ live }) => live.statistics().connections)).toEqual([42, 42, 42]);

  const closes = Promise.all(mine.map(closed));
  await first?.sessions.destroyByUser("42");
  expect(await closes).toEqual(Array(120).fill([4401, "ended"]));
  expect(others.map(({ readyState }) => readyState)).toEqual(Array(6).fill(WebSocket.OPEN));
  for (const { live } of nodes) {
    expect(live.statistics()).toMatchObject({ connections: 2, sessions: 2, closed: 40 });
  }
});
