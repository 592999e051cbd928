import { HttpSessions, loadedSessionKey, managerKey, SessionError } from "@sojourn/core/bridge";
import type { FastifyInstance } from "fastify";
import fastifyPlugin from "fastify-plugin";
import { framework, packageName } from "./framework.js";
import { type FastifySessionsOptions, resolveOptions } from "./options.js";
import { RequestSessions } from "./request-sessions.js";

declare module "fastify" {
  interface FastifyContextConfig {
    /** False: this route has no session, and reading `request.session` throws. */
    session?: boolean | undefined;
  }
}

/**
 * Sessions for Fastify: `await request.session` loads the session of a request, and its changes are saved before the reply.
 *
 * A request that never reads its session costs nothing. With `eager: true`, each request loads its session first, and
 * `request.session` is the session itself. Register the plugin before the routes that use it. Registered in
 * several scopes, or in one scope under several `decorator` names, it makes independent sessions.
 *
 * @throws SessionError `INVALID_OPTION` from `app.ready()`
 */
export const fastifySessions: (app: FastifyInstance, options: FastifySessionsOptions) => Promise<void> = fastifyPlugin(
  async (app: FastifyInstance, options: FastifySessionsOptions): Promise<void> => {
    const resolved = resolveOptions(options);
    const http = new HttpSessions(framework, resolved.sessions);
    app.addHook("onClose", () => http.close());

    const sessions = new RequestSessions(http);
    app.decorateRequest(sessions.key, null);
    if (app.hasRequestDecorator(managerKey(http.manager))) throw sameManager();
    app.decorateRequest(managerKey(http.manager), {
      getter() {
        return sessions.open(this);
      },
    });
    app.decorateRequest(resolved.decorator, {
      getter() {
        return resolved.eager ? sessions.eager(this) : sessions.open(this);
      },
    });
    if (resolved.eager) app.addHook("onRequest", (request, _reply, done) => sessions.load(request, done));
    // With several registrations in one scope, log lines name the session of the first.
    if (!app.hasRequestDecorator(loadedSessionKey)) {
      app.decorateRequest(loadedSessionKey, {
        getter() {
          return sessions.loaded(this);
        },
      });
    }
    app.addHook("onSend", (request, reply, _payload, done) => sessions.finish(request, reply, done));
  },
  { fastify: "5.x", name: packageName },
);

function sameManager(): SessionError {
  const reason =
    "two registrations in one scope have the same manager, so that each would write over the other's changes";
  return new SessionError("INVALID_OPTION", `${packageName}: ${reason}: use one of them`);
}
