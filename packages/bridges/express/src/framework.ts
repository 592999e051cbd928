import { ServerResponse } from "node:http";
import { type HttpFramework, nodeHttp, whenClosed } from "@sojourn/core/bridge";
import type { Request, Response } from "express";

export const packageName = "@sojourn/express";

export const framework: HttpFramework<Request, Response> = {
  ...nodeHttp,
  packageName,
  // A request of socket.io has no `ip`.
  ip: (request) => request.ip ?? request.socket.remoteAddress,
  isHeadSent: (response) => !canBeHeld(response) || nodeHttp.isHeadSent(response),
  onClosed(response, listener) {
    if (canBeHeld(response)) whenClosed(response, listener);
  },
};

/** Whether a response has a head to send: socket.io calls middlewares for WebSockets too, with a stand-in. */
export function canBeHeld(response: object): boolean {
  return response instanceof ServerResponse;
}
