import { type HttpFramework, whenClosed } from "@sojourn/core/bridge";
import type { FastifyReply, FastifyRequest } from "fastify";

export const packageName = "@sojourn/fastify";

export const framework: HttpFramework<FastifyRequest, FastifyReply> = {
  packageName,
  ownOptions: ["decorator", "eager"],
  header: ({ headers }, name) => {
    const value = headers[name];
    return typeof value === "string" ? value : undefined;
  },
  ip: (request) => request.ip,
  // A WebSocket has no response for a token, and outlives the data that it has read. @fastify/websocket marks its requests.
  readOnlyReason: (request) =>
    "ws" in request && request.ws === true ? "the session of a WebSocket is read-only" : undefined,
  setHeader: (reply, name, value) => void reply.header(name, value),
  responseHeader: (reply, name) => {
    const value = reply.getHeader(name);
    return value === undefined ? undefined : String(value);
  },
  isHeadSent: (reply) => reply.raw.headersSent,
  onClosed: (reply, listener) => whenClosed(reply.raw, listener),
};
