import { SessionError, type SessionManager } from "@sojourn/core/bridge";
import type { FastifyReply, FastifyRequest } from "fastify";
import { clientOf } from "./client.js";
import { toReplyError } from "./errors.js";
import type { ResolvedOptions } from "./options.js";
import { RequestSession } from "./request-session.js";

/**
 * Under which a request tells, without loading anything, the session that it has loaded. Log lines are what asks: they want
 * its `id` and `userId` as they are then. Registered for all, as this package and those that log know nothing of each other.
 */
export const loadedSessionKey: unique symbol = Symbol.for("sojourn.loadedSession");

/** The session of one request, from when it was first asked for. */
interface Loading {
  readonly session: Promise<RequestSession<object>>;
  /** The same, once it is there. */
  loaded: RequestSession<object> | undefined;
  isCommitting: boolean;
}

/** Loads the session of each request that asks for it, once, and commits it before the reply. */
export class SessionLoader {
  /** Where a request keeps it. */
  readonly key: symbol = Symbol("sojourn.session");
  readonly #options: ResolvedOptions;

  constructor(options: ResolvedOptions) {
    this.#options = options;
  }

  /** @throws SessionError `NOT_SUPPORTED` in a route that does without */
  open(request: FastifyRequest): Promise<RequestSession<object>> {
    const slots = slotsOf(request);
    const loading = slots[this.key];
    if (loading !== undefined && loading !== null) return loading.session;
    refuseWithout(request);
    const opened: Loading = { session: this.#load(request), loaded: undefined, isCommitting: false };
    slots[this.key] = opened;
    // Ahead of whoever asked, who is told of errors. A request that asked and did not wait has nothing to save.
    opened.session.then((session) => {
      opened.loaded = session;
    }, ignore);
    return opened.session;
  }

  /** The session of a request that has asked for it and got it. */
  loaded(request: FastifyRequest): RequestSession<object> | undefined {
    return slotsOf(request)[this.key]?.loaded;
  }

  /** A request that has not asked for its session, or has only read it, goes on at once. */
  commit(request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void {
    const loading = slotsOf(request)[this.key];
    // A handler that replies and then returns nothing replies once more in Fastify's eyes, while the first one waits here.
    if (loading?.isCommitting) return;
    if (!loading?.loaded?.needsCommit) {
      done();
      return;
    }
    loading.isCommitting = true;
    const next = (error?: Error): void => {
      loading.isCommitting = false;
      done(error);
    };
    loading.loaded.commit(reply).then(() => next(), next);
  }

  async #load(request: FastifyRequest): Promise<RequestSession<object>> {
    const { manager, transport } = this.#options;
    const token = transport.read(request);
    if (token === undefined) return new RequestSession(this.#options, request, undefined);
    try {
      const session = await manager.get(token, { client: clientOf(request) });
      return new RequestSession(this.#options, request, session && { token, session });
    } catch (error) {
      throw toReplyError(error);
    }
  }
}

/** `request.session` for the sessions of a manager: `SessionOf<typeof manager>`. */
export type SessionOf<Manager> =
  Manager extends SessionManager<infer Data, infer _Input> ? Promise<RequestSession<Data>> : never;

const managerKeys = new WeakMap<object, symbol>();

/** Under which requests offer the session of a manager, beside the decorator of the application's choice. */
export function managerKey(manager: SessionManager): symbol {
  const key = managerKeys.get(manager) ?? Symbol("sojourn.manager");
  managerKeys.set(manager, key);
  return key;
}

/**
 * The session of a request, typed by its manager: what `request.session` is, without any declaration.
 *
 * @throws SessionError `INVALID_ARGUMENT` where the plugin is not registered with this manager
 */
export function sessionOf<Data extends object, Input extends object>(
  request: FastifyRequest,
  manager: SessionManager<Data, Input>,
): Promise<RequestSession<Data>> {
  const key = managerKeys.get(manager);
  if (key === undefined || !(key in request)) {
    const message = "@sojourn/fastify: sojournSession is not registered with this manager where the request is served";
    throw new SessionError("INVALID_ARGUMENT", message);
  }
  // The plugin has put it there, for a manager of this type.
  return Reflect.get(request, key) as Promise<RequestSession<Data>>;
}

function refuseWithout({ routeOptions }: FastifyRequest): void {
  if (routeOptions.config?.session !== false) return;
  const { method, url } = routeOptions;
  const message = `@sojourn/fastify: the route ${String(method)} ${url} does without a session by "config: { session: false }"`;
  throw new SessionError("NOT_SUPPORTED", message);
}

/** A request with its decorators under symbols, of which Fastify's types know nothing. */
function slotsOf(request: FastifyRequest): Record<symbol, Loading | null | undefined> {
  return request as unknown as Record<symbol, Loading | null | undefined>;
}

function ignore(): void {}
