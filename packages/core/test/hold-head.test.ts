import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { type HeadHooks, holdHead, isHeadSent, setHeadHeader } from "../src/bridge/index.js";

/* Responses of Node itself. packages/bridges/express/test has the responses of Express. */

/** The response of HTTP/2 has the members that are used here. */
type Handler = (response: ServerResponse) => void;

interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

const later = (): Promise<void> => new Promise(setImmediate);
const nothing: HeadHooks = { beforeHead: () => undefined, beforeEnd: () => undefined, failed: () => undefined };

async function answerOfHttp(handler: Handler): Promise<Answer> {
  const server = createServer((_request, response) => handler(response)).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const [incoming]: IncomingMessage[] = await once(httpRequest({ port, agent: false }).end(), "response");
  if (incoming === undefined) throw new Error("no response");
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: await text(incoming) };
}

async function answerOfHttp2(handler: Handler): Promise<Answer> {
  const server = createHttp2Server((_request, response) => handler(response as unknown as ServerResponse)).listen(
    0,
    "127.0.0.1",
  );
  await once(server, "listening");
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => {
    session.destroy();
    server.close();
  });
  const stream = session.request({ ":path": "/" });
  const [headers]: Record<string, unknown>[] = await once(stream, "response");
  return { status: Number(headers?.[":status"]), headers: headers ?? {}, body: await text(stream) };
}

describe.each([
  ["HTTP/1.1", answerOfHttp],
  ["HTTP/2", answerOfHttp2],
])("%s", (_version, answerOf) => {
  test.each<[string, Handler]>([
    ["end", (response) => response.end("ab")],
    ["write and end", (response) => [response.write("a"), response.end("b")]],
    ["writeHead", (response) => response.writeHead(200, { "content-type": "text/plain" }).end("ab")],
    ["flushHeaders", (response) => [response.flushHeaders(), response.end("ab")]],
  ])("%s waits for the work, which still sets headers", async (_name, send) => {
    const seen: unknown[] = [];
    const { status, headers, body } = await answerOf((response) => {
      const beforeHead = async (): Promise<void> => {
        await later();
        seen.push(response.headersSent, isHeadSent(response));
        setHeadHeader(response, "set-cookie", "b=2");
      };
      holdHead(response, { ...nothing, beforeHead });
      response.setHeader("set-cookie", "a=1");
      send(response);
      // Too late for the response.
      response.statusCode = 500;
    });
    expect({ status, body, cookies: headers["set-cookie"] }).toEqual({
      status: 200,
      body: "ab",
      cookies: ["a=1", "b=2"],
    });
    expect(seen).toEqual([true, false]);
  });

  test("a hook that has nothing to wait for may set headers", async () => {
    const { headers, body } = await answerOf((response) => {
      const beforeHead = (): undefined => {
        setHeadHeader(response, "x-own", "1");
      };
      holdHead(response, { ...nothing, beforeHead });
      response.end("ab");
    });
    expect([headers["x-own"], body]).toEqual(["1", "ab"]);
  });

  test("headers given to writeHead stay beside those of the hook", async () => {
    const { headers } = await answerOf((response) => {
      holdHead(response, { ...nothing, beforeHead: async () => setHeadHeader(response, "set-cookie", "b=2") });
      response.setHeader("set-cookie", "old=1");
      response.writeHead(200, { "Set-Cookie": ["a=1"], "x-own": "1" }).end();
    });
    expect([headers["set-cookie"], headers["x-own"]]).toEqual([["a=1", "b=2"], "1"]);
  });

  test("all of several hooks are waited for", async () => {
    const { headers } = await answerOf((response) => {
      for (const name of ["a", "b"]) {
        const beforeHead = (): Promise<void> => later().then(() => setHeadHeader(response, "set-cookie", `${name}=1`));
        holdHead(response, { ...nothing, beforeHead });
      }
      response.end();
    });
    expect(headers["set-cookie"]).toEqual(["a=1", "b=1"]);
  });

  test("the end of a stream waits too, and a write during the work is followed by drain", async () => {
    const order: string[] = [];
    const { body } = await answerOf((response) => {
      const hook = (name: string) => async (): Promise<void> => {
        await later();
        order.push(name);
      };
      holdHead(response, { ...nothing, beforeHead: hook("head"), beforeEnd: hook("end") });
      expect(response.write("a")).toBe(false);
      response.once("drain", () => {
        order.push("drain");
        response.end("b");
      });
      response.once("finish", () => order.push("finish"));
    });
    expect([body, order]).toEqual(["ab", ["head", "drain", "end", "finish"]]);
  });

  test("a failure lets a complete response be answered anew", async () => {
    const { status, headers, body } = await answerOf((response) => {
      const failed = (error: unknown): void => {
        response.statusCode = 503;
        response.end(String(error));
      };
      const work = [Promise.reject(new Error("down"))];
      holdHead(response, { ...nothing, beforeHead: () => work.pop(), failed });
      response.setHeader("etag", '"1"');
      response.setHeader("x-own", "1");
      response.end("ab");
    });
    expect([status, body, headers.etag, headers["x-own"]]).toEqual([503, "Error: down", undefined, "1"]);
  });

  test("a failure answers a response that is being written, and drops what it writes later", async () => {
    const reports: unknown[] = [];
    const { status, body } = await answerOf((response) => {
      const error = Object.assign(new Error("not now"), { statusCode: 503 });
      const failed = (reported: unknown): void => void reports.push(reported);
      holdHead(response, { ...nothing, beforeHead: () => Promise.reject(error), failed });
      const timer = setInterval(() => response.write("a"), 1);
      response.on("close", () => clearInterval(timer));
    });
    expect([status, body]).toEqual([503, "not now"]);
    await expect.poll(() => reports).toMatchObject([{ message: "not now" }]);
  });
});

test("writeHead takes its headers as an object, as pairs and as a flat list", async () => {
  const list: [string, string][] = [
    ["set-cookie", "a=1"],
    ["Set-Cookie", "b=2"],
    ["x-own", "1"],
  ];
  for (const headers of [{ "set-cookie": ["a=1", "b=2"], "x-own": "1" }, list, list.flat()]) {
    const answer = await answerOfHttp((response) => {
      holdHead(response, { ...nothing, beforeHead: later });
      // The types of Node have no list of pairs.
      Reflect.apply(response.writeHead, response, [202, "Fine", headers]);
      response.end();
    });
    expect(answer).toMatchObject({ status: 202, headers: { "set-cookie": ["a=1", "b=2"], "x-own": "1" } });
  }
});

test("Node's own prototype, which serves every server, stays as it is", async () => {
  const prototypes: object[] = [];
  const { ServerResponse } = await import("node:http");
  const before = Object.getOwnPropertyNames(ServerResponse.prototype);
  await answerOfHttp((response) => {
    holdHead(response, nothing);
    prototypes.push(Object.getPrototypeOf(Object.getPrototypeOf(response)));
    response.end();
  });
  expect(prototypes).toEqual([ServerResponse.prototype]);
  expect(Object.getOwnPropertyNames(ServerResponse.prototype)).toEqual(before);
});
