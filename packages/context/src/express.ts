import type { IncomingMessage, ServerResponse } from "node:http";
import { hashOf } from "./hash.js";
import {
  type Identity,
  identifyLoaded,
  type RequestContext,
  type RequestContextOptions,
  requestRunner,
} from "./request.js";

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
 * Middleware for Express 4 and 5 that runs each request in a context. Use it first, also before the
 * middleware for sessions.
 *
 * With `@sojourn/express`, `sessionId` and `userId` belong to the session that the request has loaded. A log line loads
 * none. With express-session, `sessionId` is the hash of the current id of `req.session`. A new session has one from the
 * start, although express-session may never store it. Both follow a `regenerate` and disappear with a `destroy`.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function expressContext<Own extends object = object>(
  context: RequestContext<Own>,
  options: ExpressContextOptions<Own> = {},
): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void {
  const run = requestRunner(context, options, (req: ExpressRequest) => identifyLoaded(req, identify));
  // The application's middlewares extend this object.
  return (req, res, next) => run(req as ExpressRequest, [req, res], next);
}

function identify(req: ExpressRequest & { session?: unknown; sessionID?: unknown }): Identity | undefined {
  const { session, sessionID } = req;
  if (typeof session !== "object" || typeof sessionID !== "string") return undefined;
  return { id: hashOf(req, sessionID) };
}
