import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { onTestFinished } from "vitest";

/** Serves until the test has ended; the URL has no slash at its end. */
export async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  // A server that listens on TCP has such an address.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export interface LogLine {
  readonly msg: string;
  readonly requestId?: string;
  readonly sessionId?: string;
  readonly userId?: string;
  readonly tenant?: string;
  readonly n?: number;
}

/** The destination of a pino logger, and the lines written so far. */
export function logSink(): {
  readonly stream: PassThrough;
  readonly text: () => string;
  readonly lines: () => LogLine[];
} {
  const stream = new PassThrough();
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  return {
    stream,
    text: () => text,
    lines: () => text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as LogLine])),
  };
}

/** A client that keeps a cookie between requests. */
export class Client {
  cookie = "";
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async send(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...(init.headers as Record<string, string>), ...(this.cookie && { cookie: this.cookie }) };
    const response = await fetch(this.#url + path, { ...init, method, headers });
    for (const set of response.headers.getSetCookie()) this.cookie = set.slice(0, set.indexOf(";"));
    return response;
  }
}
