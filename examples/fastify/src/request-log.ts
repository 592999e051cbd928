import { type FastifyReply, type FastifyRequest, LogController } from "fastify";

/** One line for each request, at its end: Fastify's line at its beginning comes before any hook, and so before the context. */
export class RequestLog extends LogController {
  override incomingRequest(): void {}

  override requestCompleted(err: Error | null | undefined, request: FastifyRequest, reply: FastifyReply): void {
    const { method, routeOptions } = request;
    const { statusCode, elapsedTime } = reply;
    const line = { method, route: routeOptions.url, statusCode, ms: Math.round(elapsedTime), err };
    reply.log[err ? "error" : "info"](line, "request completed");
  }
}
