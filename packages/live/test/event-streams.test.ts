import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { type Node, openPair } from "./support.js";

/** Serves an event stream for the sessions of a node, and returns its URL. */
async function serve({ sessions, live }: Node): Promise<string> {
  const server = createServer(async (request, response) => {
    const session = await sessions.get(request.headers.authorization?.slice(7) ?? "");
    if (session === undefined) return void response.writeHead(401).end();
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    live.add(session, response);
    response.write("data: welcome\n\n");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function open(url: string, token: string) {
  const aborter = new AbortController();
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(url, { headers, signal: aborter.signal });
  return { response, leave: () => aborter.abort() };
}

test("a stream gets a last event and ends; the next request of its client is refused", async () => {
  const { here, there } = openPair();
  const url = await serve(here);
  const { token } = await there.sessions.create();
  const { response } = await open(url, token);
  expect(here.live.statistics()).toMatchObject({ connections: 1, sessions: 1 });
  await there.sessions.destroy(token);
  expect(await response.text()).toBe(
    'data: welcome\n\nevent: session-closed\ndata: {"code":4401,"reason":"ended"}\n\n',
  );
  expect((await open(url, token)).response.status).toBe(401);
  expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0, closed: 1 });
});

test("a stream whose client leaves is removed", async () => {
  const { here, there } = openPair();
  const url = await serve(here);
  const { token } = await there.sessions.create();
  const { leave } = await open(url, token);
  expect(here.live.statistics().connections).toBe(1);
  leave();
  await expect.poll(() => here.live.statistics()).toMatchObject({ connections: 0, sessions: 0, closed: 0 });
});

test("a response that has ended is not registered", async () => {
  const { here } = openPair();
  const { session } = await here.sessions.create();
  const server = createServer((_request, response) => {
    response.end("done");
    here.live.add(session, response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  onTestFinished(() => void server.close());
  expect(await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)).text()).toBe("done");
  expect(here.live.statistics()).toMatchObject({ connections: 0, sessions: 0 });
});
