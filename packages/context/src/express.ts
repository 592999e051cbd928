import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "./context.js";
import { hashOf } from "./hash.js";
import { type Identity, type RequestContextOptions, requestRunner } from "./request.js";

declare global {
  namespace Express {
    // The types of Express and express-session extend this one.
    interface Request {}
  }
}

/** A request as the middlewares of the application type it. */
export type ExpressRequest = IncomingMessage & Express.Request;

export type ExpressContextOptions<Own extends object = object> = RequestContextOptions<ExpressRequest, Own>;

/**
 * Middleware for Express 4 and 5 that runs each request in a context. Use it first, also before `session()` of
 * express-session.
 *
 * `sessionId` is the hash of the current id of `req.session`: it follows a `regenerate` and disappears with a
 * `destroy`. A new session has one from the start, although express-session may never store it.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function expressContext<Own extends object = object>(
  context: Pick<Context<Own, string | undefined>, "runWithContext" | "snapshot">,
  options: ExpressContextOptions<Own> = {},
): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void {
  const run = requestRunner(context, options, identify);
  // The application's middlewares extend this object.
  return (req, res, next) => run(req as ExpressRequest, { request: req, response: res }, next);
}

function identify(req: ExpressRequest & { session?: unknown; sessionID?: unknown }): Identity | undefined {
  const { session, sessionID } = req;
  if (typeof session !== "object" || typeof sessionID !== "string") return undefined;
  return { id: hashOf(req, sessionID) };
}
