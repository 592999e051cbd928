import { createContext, fastifyContext, pinoMixin, requestIds } from "@sojourn/context";
import { SessionManager, type SessionStore } from "@sojourn/core";
import { fastifySessions } from "@sojourn/fastify";
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from "fastify";
import pino, { type DestinationStream } from "pino";
import { RequestLog } from "./request-log.js";
import { type AppSession, routes } from "./routes.js";

export interface AppOptions {
  readonly store: SessionStore;
  /** Signs the session cookie: at least 32 bytes. */
  readonly secret: string;
  /** Whether browsers come over HTTPS; the cookie goes over nothing else then. */
  readonly secure: boolean;
  /** Where log lines go. */
  readonly log: DestinationStream;
}

/** Logins, and the sessions of whoever is logged in. Every log line has the ids of its request, session and user. */
export async function createApp({ store, secret, secure, log }: AppOptions): Promise<FastifyInstance> {
  const context = createContext();
  const logger: FastifyBaseLogger = pino({ mixin: pinoMixin(context) }, log);
  const manager = new SessionManager<AppSession>({ store });
  // Runs in the context of the request that ended the session: the line tells who did, and from which session.
  manager.on("destroyed", ({ id, reason }) => logger.info({ ended: id, reason }, "session ended"));

  const app = Fastify({
    loggerInstance: logger,
    genReqId: requestIds(),
    logController: new RequestLog(),
  });
  app.register(fastifyContext(context, { values: ({ id }) => ({ requestId: id }) }));
  app.register(fastifySessions, {
    manager,
    secret,
    cookie: { secure },
    metadata: ({ ip, headers }) => ({ ip, userAgent: headers["user-agent"] ?? "" }),
  });
  app.addHook("onClose", () => manager.close());
  app.register(routes, { manager });
  await app.ready();
  return app;
}
