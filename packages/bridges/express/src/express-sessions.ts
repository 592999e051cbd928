import type { IncomingMessage, ServerResponse } from "node:http";
import { HttpSessions, loadedSessionKey, managerKey, SessionError, type SessionManager } from "@sojourn/core/bridge";
import type { Request, Response } from "express";
import { framework, packageName } from "./framework.js";
import { type HabitSession, HabitSlot } from "./habits.js";
import { type ExpressSessionsOptions, resolveOptions } from "./options.js";
import { type Next, type RequestSession, RequestSlot } from "./request-slot.js";

/** `req.session` for the sessions of a manager: `SessionOf<typeof manager>`. */
export type SessionOf<Manager> =
  Manager extends SessionManager<infer Data, infer _Input> ? Promise<RequestSession<Data>> : never;

/** `req.session` with `eager: true`: `EagerSessionOf<typeof manager>`. */
export type EagerSessionOf<Manager> = Awaited<SessionOf<Manager>>;

/** `req.session` with `habits: true`: `HabitSessionOf<typeof manager>`. */
export type HabitSessionOf<Manager> =
  Manager extends SessionManager<infer Data, infer _Input> ? HabitSession<Data> : never;

/** A middleware for `app.use`, and for `io.engine.use` of socket.io. */
export interface ExpressSessions {
  (request: IncomingMessage, response: ServerResponse, next: Next): void;
  /** Closes the manager that was made for a `store`. A `manager` of the application stays open. */
  close(): Promise<void>;
}

/**
 * Sessions for Express: `await req.session` loads the session of a request, and its changes are saved before the response. A
 * request that never reads its session costs nothing. With `eager: true`, each request loads its session first, and
 * `req.session` is the session itself.
 *
 * Several middlewares, with a manager and a `decorator` each, make independent sessions.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function expressSessions(options: ExpressSessionsOptions): ExpressSessions {
  const { decorator, eager, habits, sessions } = resolveOptions(options);
  const http = new HttpSessions(framework, sessions);
  const key = managerKey(http.manager);
  const isLoaded = eager || habits !== undefined;
  const lazy: PropertyDescriptor = {
    get(this: Request) {
      return slotsOf(this)[key]?.open();
    },
    configurable: true,
    enumerable: true,
  };

  const middleware = (request: Request, response: Response, next: Next): void => {
    const slots = slotsOf(request);
    const former = slots[key];
    if (former !== undefined || Reflect.get(request, decorator) !== undefined) {
      // One middleware may stand before several routers.
      next(former?.middleware === middleware ? undefined : conflictOf(decorator, former));
      return;
    }
    const slot = habits
      ? new HabitSlot(origin, request, response, next, habits)
      : new RequestSlot(origin, request, response, next);
    slots[key] = slot;
    slots[loadedSessionKey] ??= slot;
    if (!isLoaded) {
      Object.defineProperty(request, decorator, lazy);
      next();
      return;
    }
    const loading = slot.begin((session) => void Reflect.set(request, decorator, session));
    if (loading === undefined) next();
    else loading.then(() => next(), next);
  };
  const origin = { middleware, sessions: http };
  // Express extends Node's requests and responses. Of the members that only Express has, `ip` is used, if it is there.
  return Object.assign(middleware as ExpressSessions, { close: () => http.close() });
}

function conflictOf(decorator: string, former: RequestSlot | undefined): SessionError {
  const reason =
    former === undefined
      ? `the request has a property "${decorator}" already, such as the one of express-session: use another "decorator"`
      : "two middlewares have the same manager, so that each would write over the other's changes: use one of them";
  return new SessionError("INVALID_OPTION", `${packageName}: ${reason}`);
}

/**
 * Returns the session of a request, typed by its manager: needs no type declaration.
 *
 * @throws SessionError `INVALID_ARGUMENT` where no middleware with this manager has run
 */
export function sessionOf<Data extends object, Input extends object>(
  request: IncomingMessage,
  manager: SessionManager<Data, Input>,
): Promise<RequestSession<Data>> {
  const slot = slotsOf(request)[managerKey(manager)];
  if (slot === undefined) {
    const message = `${packageName}: expressSessions with this manager does not run before the code that asks for its session`;
    throw new SessionError("INVALID_ARGUMENT", message);
  }
  // The middleware has put it there, for a manager of this type.
  return slot.open() as Promise<unknown> as Promise<RequestSession<Data>>;
}

/** Returns a request with its symbol properties, which Express's types do not declare. */
function slotsOf(request: object): Record<symbol, RequestSlot | undefined> {
  return request as Record<symbol, RequestSlot | undefined>;
}
