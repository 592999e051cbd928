import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Cut, startTcpProxy, type TcpProxy } from "../src/index.js";

/** Answers each chunk with the same bytes, and remembers its connections. */
const connections: Socket[] = [];
const echo = createServer({ allowHalfOpen: true }, (socket) => {
  connections.push(socket);
  socket.on("error", () => {});
  socket.on("data", (chunk) => socket.write(chunk));
  socket.on("end", () => socket.end());
});
let proxy: TcpProxy;
beforeEach(async () => {
  await once(echo.listen(0, "127.0.0.1"), "listening");
  proxy = await startTcpProxy(`tcp://user@127.0.0.1:${(echo.address() as AddressInfo).port}/path`);
});
afterEach(async () => {
  await proxy.stop();
  echo.close();
  for (const connection of connections.splice(0)) connection.destroy();
});

/** A client, with all that it has received and how its connection ended. */
async function open() {
  const socket = connect(proxy.port, "127.0.0.1");
  const client = { socket, received: "", ended: "" };
  socket.on("data", (chunk) => {
    client.received += chunk;
  });
  socket.on("end", () => {
    client.ended ||= "closed";
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    client.ended ||= error.code ?? error.message;
  });
  await once(socket, "connect");
  return client;
}

async function ask(client: Awaited<ReturnType<typeof open>>, question: string): Promise<void> {
  const expected = client.received + question;
  client.socket.write(question);
  await expect.poll(() => client.received, { interval: 1 }).toBe(expected);
}

describe("startTcpProxy", () => {
  it("passes on bytes and ends in both directions, and counts", async () => {
    expect(new URL(proxy.url)).toMatchObject({ username: "user", pathname: "/path", port: String(proxy.port) });
    const client = await open();
    await ask(client, "one");
    await ask(client, "three");
    expect(proxy.counts).toEqual({ accepted: 1, roundTrips: 2, sent: 8, received: 8 });
    expect(proxy.connections).toBe(1);
    client.socket.end();
    await expect.poll(() => client.ended).toBe("closed");
    await expect.poll(() => proxy.connections).toBe(0);
    proxy.resetCounts();
    expect(proxy.counts).toEqual({ accepted: 0, roundTrips: 0, sent: 0, received: 0 });
  });

  it("freezes open connections without a word, while new ones pass, and thaws them", async () => {
    const client = await open();
    await ask(client, "before");
    proxy.freeze();
    client.socket.write("during");
    connections[0]?.write("pushed");
    const other = await open();
    await ask(other, "new");
    await delay(50);
    expect(client).toMatchObject({ received: "before", ended: "" });
    expect(proxy.counts).toMatchObject({ accepted: 2, sent: 9 });
    proxy.thaw();
    await expect.poll(() => client.received).toHaveLength("beforeduringpushed".length);
  });

  it("tells the server nothing of a client that closes a frozen connection", async () => {
    const client = await open();
    await ask(client, "before");
    proxy.freeze();
    client.socket.destroy();
    await delay(50);
    expect(connections[0]?.destroyed).toBe(false);
    expect(connections[0]?.readableEnded).toBe(false);
    expect(proxy.connections).toBe(1);
    proxy.thaw();
    await expect.poll(() => connections[0]?.destroyed).toBe(true);
  });

  it("freezes new connections too on request", async () => {
    proxy.freeze("all");
    const client = await open();
    client.socket.write("hello");
    await delay(50);
    expect(client).toMatchObject({ received: "", ended: "" });
    proxy.thaw();
    await expect.poll(() => client.received).toBe("hello");
  });

  it.each<[Cut, string]>([
    ["close", "closed"],
    ["reset", "ECONNRESET"],
  ])("cuts connections: %s", async (how, ended) => {
    const client = await open();
    await ask(client, "before");
    proxy.cut(how);
    await expect.poll(() => client.ended).toBe(ended);
    await expect.poll(() => connections[0]?.destroyed).toBe(true);
    await expect.poll(() => proxy.connections).toBe(0);
    await ask(await open(), "after");
  });

  it.each<[Cut, string]>([
    ["close", "closed"],
    ["reset", "ECONNRESET"],
  ])("cuts a connection in the middle of an answer: %s", async (how, ended) => {
    const client = await open();
    proxy.cutNextAnswer(how, 5);
    await ask(client, "short");
    client.socket.write("longer");
    await expect.poll(() => client.ended).toBe(ended);
    expect(client.received).toBe("shortlonge");
    await ask(await open(), "the next one is whole");
  });

  it("freezes an answer in the middle, while requests pass", async () => {
    const client = await open();
    proxy.cutNextAnswer("freeze", 5);
    client.socket.write("longer");
    await expect.poll(() => client.received).toBe("longe");
    client.socket.write("more");
    await expect.poll(() => proxy.counts.sent).toBe(10);
    expect(client).toMatchObject({ received: "longe", ended: "" });
    proxy.thaw();
    await expect.poll(() => client.received).toBe("longermore");
    expect(proxy.counts.received).toBe(10);
  });

  it("delays both directions and keeps the order", async () => {
    const client = await open();
    proxy.delayMs = 30;
    const startedAt = performance.now();
    client.socket.write("a");
    await delay(5);
    proxy.delayMs = 10;
    client.socket.end("b");
    await expect.poll(() => client.ended, { interval: 1 }).toBe("closed");
    expect(client.received).toBe("ab");
    expect(performance.now() - startedAt).toBeGreaterThan(39);
  });

  it("resets a client when the server is not there, unless new connections are frozen", async () => {
    echo.close();
    await once(echo, "close");
    const client = await open();
    await expect.poll(() => client.ended).toBe("ECONNRESET");
    proxy.freeze("all");
    const silent = await open();
    await delay(50);
    expect(silent.ended).toBe("");
    proxy.thaw();
    await expect.poll(() => silent.ended).toBe("ECONNRESET");
  });
});
