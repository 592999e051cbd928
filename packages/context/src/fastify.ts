import type { FastifyPluginCallback, FastifyRequest } from "fastify";
import fastifyPlugin from "fastify-plugin";
import type { Context } from "./context.js";
import { hashOf } from "./hash.js";
import { type RequestContextOptions, requestRunner } from "./request.js";

export type FastifyContextOptions<Own extends object = object> = RequestContextOptions<FastifyRequest, Own>;

/**
 * Plugin for Fastify 5 that runs each request in a context: `app.register(fastifyContext(context))`. Register it first;
 * it holds for the whole application.
 *
 * `sessionId` is that of `request.session` at that moment, of `@sojourn/fastify` or `@fastify/session`: it follows a
 * `regenerate`, and goes with a `destroy`. Asking for it loads nothing.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function fastifyContext<Own extends object = object>(
  context: Pick<Context<Own, string | undefined>, "runWithContext" | "snapshot">,
  options: FastifyContextOptions<Own> = {},
): FastifyPluginCallback {
  const run = requestRunner(context, options, fastifySessionId);
  const plugin: FastifyPluginCallback = (app, _options, registered) => {
    app.addHook("onRequest", (request, reply, done) => {
      run(request, { request: request.raw, response: reply.raw }, done);
    });
    registered();
  };
  return fastifyPlugin(plugin, { name: "@sojourn/context", fastify: "5.x" });
}

function fastifySessionId(request: FastifyRequest & { session?: unknown }): string | undefined {
  const { session } = request;
  if (typeof session !== "object" || session === null) return undefined;
  if ("sessionId" in session && typeof session.sessionId === "string") return hashOf(request, session.sessionId);
  return "id" in session && typeof session.id === "string" ? session.id : undefined;
}
