import type { FastifyPluginCallback, FastifyRequest } from "fastify";
import fastifyPlugin from "fastify-plugin";
import { hashOf } from "./hash.js";
import {
  type Identity,
  identifyLoaded,
  type RequestContext,
  type RequestContextOptions,
  requestRunner,
} from "./request.js";

export type FastifyContextOptions<Own extends object = object> = RequestContextOptions<FastifyRequest, Own>;

/**
 * Plugin for Fastify 5 that runs each request in a context: `app.register(fastifyContext(context))`. Register it first;
 * it applies to the whole application.
 *
 * With `@sojourn/fastify`, `sessionId` and `userId` belong to the session that the request has loaded: they follow a
 * `regenerate` and disappear with a `destroy`. The plugin loads no session itself. With `@fastify/session`, `sessionId`
 * is the hash of the id of `request.session`.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function fastifyContext<Own extends object = object>(
  context: RequestContext<Own>,
  options: FastifyContextOptions<Own> = {},
): FastifyPluginCallback {
  const run = requestRunner(context, options, (request: FastifyRequest) => identifyLoaded(request, identify));
  const plugin: FastifyPluginCallback = (app, _options, registered) => {
    app.addHook("onRequest", (request, reply, done) => {
      run(request, [request.raw, reply.raw], done);
    });
    registered();
  };
  return fastifyPlugin(plugin, { name: "@sojourn/context", fastify: "5.x" });
}

interface PossibleSession {
  readonly session?: { readonly sessionId?: unknown } | null | undefined;
}

function identify(request: FastifyRequest & PossibleSession): Identity | undefined {
  const token = request.session?.sessionId;
  return typeof token === "string" ? { id: hashOf(request, token) } : undefined;
}
