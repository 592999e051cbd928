import type { FastifyInstance } from "fastify";
import fastifyPlugin from "fastify-plugin";
import { resolveOptions, type SojournSessionOptions } from "./options.js";
import { loadedSessionKey, managerKey, SessionLoader } from "./session-loader.js";

declare module "fastify" {
  interface FastifyContextConfig {
    /** False: no session in this route; to ask for it is an error. */
    session?: boolean | undefined;
  }
}

/**
 * Sessions for Fastify: `await request.session` loads the session of a request, and what is changed in it is saved before
 * the reply.
 *
 * A request that never asks for its session costs nothing. Register it before the routes that use it; in several scopes, or
 * in one under several `decorator` names, it makes independent sessions.
 *
 * @throws SessionError `INVALID_OPTION` from `app.ready()`
 */
export const sojournSession: (app: FastifyInstance, options: SojournSessionOptions) => Promise<void> = fastifyPlugin(
  async (app: FastifyInstance, options: SojournSessionOptions): Promise<void> => {
    const resolved = resolveOptions(options);
    const { manager, ownsManager, decorator } = resolved;
    if (ownsManager) app.addHook("onClose", () => manager.close());

    const loader = new SessionLoader(resolved);
    app.decorateRequest(loader.key, null);
    for (const name of [decorator, managerKey(manager)]) {
      app.decorateRequest(name, {
        getter() {
          return loader.open(this);
        },
      });
    }
    // Of several in one scope, the first is the one that logs name.
    if (!app.hasRequestDecorator(loadedSessionKey)) {
      app.decorateRequest(loadedSessionKey, {
        getter() {
          return loader.loaded(this);
        },
      });
    }
    app.addHook("onSend", (request, reply, _payload, done) => loader.commit(request, reply, done));
  },
  { fastify: "5.x", name: "@sojourn/fastify" },
);
