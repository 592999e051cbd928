import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { isHeadSent, type NodeResponse, setHeadHeader } from "./hold-head.js";
import type { HttpFramework } from "./http-framework.js";

/** The members of an {@link HttpFramework} that are the same in all frameworks on Node's own requests and responses. */
export const nodeHttp: Omit<HttpFramework<IncomingMessage | Http2ServerRequest, NodeResponse>, "packageName"> = {
  header(request, name) {
    const value = request.headers[name];
    return typeof value === "string" ? value : undefined;
  },
  ip: (request) => request.socket.remoteAddress,
  setHeader: setHeadHeader,
  responseHeader: (response, name) => response.getHeader(name)?.toString(),
  isHeadSent,
  onClosed: whenClosed,
};

/** Calls the listener once a response has closed; soon if it has closed already. */
export function whenClosed(response: Pick<NodeResponse, "destroyed" | "once">, listener: () => void): void {
  if (response.destroyed) setImmediate(listener);
  else response.once("close", listener);
}
