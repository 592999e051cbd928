import { type HttpSessions, LazySession, managerKey, SessionError, type SessionManager } from "@sojourn/core/bridge";
import type { FastifyReply, FastifyRequest } from "fastify";
import { type EagerSession, eagerSession } from "./eager-session.js";
import { packageName } from "./framework.js";
import type { RequestSession } from "./request-session.js";

/** `request.session` for the sessions of a manager: `SessionOf<typeof manager>`. */
export type SessionOf<Manager> =
  Manager extends SessionManager<infer Data, infer _Input> ? Promise<RequestSession<Data>> : never;

/** `request.session` with `eager: true`: `EagerSessionOf<typeof manager>`. */
export type EagerSessionOf<Manager> =
  Manager extends SessionManager<infer Data, infer _Input> ? EagerSession<Data> : never;

class FastifySlot extends LazySession<FastifyRequest, FastifyReply> {
  isFinishing = false;
  eager: EagerSession<object> | undefined;
}

/** Keeps the sessions of one registration on their requests. */
export class RequestSessions {
  /** Property of a request with its slot. */
  readonly key: symbol = Symbol("sojourn.session");
  readonly #sessions: HttpSessions<FastifyRequest, FastifyReply>;

  constructor(sessions: HttpSessions<FastifyRequest, FastifyReply>) {
    this.#sessions = sessions;
  }

  /** @throws SessionError `NOT_SUPPORTED` in a route with `session: false` */
  open(request: FastifyRequest): Promise<RequestSession<object>> {
    const slots = slotsOf(request);
    let slot = slots[this.key];
    if (slot === undefined || slot === null) {
      requireSession(request);
      slot = new FastifySlot(this.#sessions, request);
      slots[this.key] = slot;
    }
    return slot.open();
  }

  /** Runs as the `onRequest` hook of `eager: true`. A route with `session: false` loads nothing. */
  load(request: FastifyRequest, done: (error?: Error) => void): void {
    if (request.routeOptions.config?.session === false) {
      done();
      return;
    }
    this.open(request).then(() => done(), done);
  }

  /** @throws SessionError `NOT_SUPPORTED` in a route with `session: false`, and before the session is loaded */
  eager(request: FastifyRequest): EagerSession<object> {
    const slot = slotsOf(request)[this.key];
    const session = slot?.loaded;
    if (slot === undefined || slot === null || session === undefined) {
      requireSession(request);
      const message = `${packageName}: the session is not loaded yet: register fastifySessions before the hook that reads it`;
      throw new SessionError("NOT_SUPPORTED", message);
    }
    slot.eager ??= eagerSession(session);
    return slot.eager;
  }

  loaded(request: FastifyRequest): RequestSession<object> | undefined {
    return slotsOf(request)[this.key]?.loaded;
  }

  /** Runs as the `onSend` hook. Calls `done` at once when the session needs no save. */
  finish(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const slot = slotsOf(request)[this.key];
    // A handler that sends and then returns undefined sends twice in Fastify's eyes. The second reply is dropped.
    if (slot?.isFinishing) return;
    const finishing = slot?.finish(reply);
    if (slot === undefined || slot === null || finishing === undefined) {
      done();
      return;
    }
    slot.isFinishing = true;
    const next = (error?: Error): void => {
      slot.isFinishing = false;
      done(error);
    };
    finishing.then(() => next(), next);
  }
}

/**
 * Returns `request.session`, typed by its manager: needs no type declaration.
 *
 * @throws SessionError `INVALID_ARGUMENT` where the plugin is not registered with this manager
 */
export function sessionOf<Data extends object, Input extends object>(
  request: FastifyRequest,
  manager: SessionManager<Data, Input>,
): Promise<RequestSession<Data>> {
  const key = managerKey(manager);
  if (!(key in request)) {
    const message = `${packageName}: fastifySessions is not registered with this manager where the request is served`;
    throw new SessionError("INVALID_ARGUMENT", message);
  }
  // The plugin has put it there, for a manager of this type.
  return Reflect.get(request, key) as Promise<RequestSession<Data>>;
}

function requireSession({ routeOptions }: FastifyRequest): void {
  if (routeOptions.config?.session !== false) return;
  const route = `${String(routeOptions.method)} ${routeOptions.url}`;
  const message = `${packageName}: the route ${route} has no session, because of "config: { session: false }"`;
  throw new SessionError("NOT_SUPPORTED", message);
}

/** Returns a request with its symbol properties, which Fastify's types do not declare. */
function slotsOf(request: FastifyRequest): Record<symbol, FastifySlot | null | undefined> {
  return request as unknown as Record<symbol, FastifySlot | null | undefined>;
}
