import {
  HttpSessions,
  LazySession,
  loadedSessionKey,
  managerKey,
  RequestSession as RequestSessionOf,
  SessionError,
  type SessionManager,
} from "@sojourn/core/bridge";
import type { Context, Middleware } from "koa";
import { framework, type Head, packageName } from "./framework.js";
import { type KoaSessionsOptions, resolveOptions } from "./options.js";

/** The session of a Koa request: {@link RequestSessionOf}. */
export type RequestSession<Data extends object> = RequestSessionOf<Data, Context, Head>;
export const RequestSession: typeof RequestSessionOf = RequestSessionOf;

/** `ctx.session` for the sessions of a manager: `SessionOf<typeof manager>`. */
export type SessionOf<Manager> =
  Manager extends SessionManager<infer Data, infer _Input> ? Promise<RequestSession<Data>> : never;

/** `ctx.session` with `eager: true`: `EagerSessionOf<typeof manager>`. */
export type EagerSessionOf<Manager> = Awaited<SessionOf<Manager>>;

export interface KoaSessions extends Middleware {
  /** Closes the manager that was made for a `store`. A `manager` of the application stays open. */
  close(): Promise<void>;
}

/**
 * Sessions for Koa: `await ctx.session` loads the session of a request, and its changes are saved after the middlewares that
 * follow and before the response. A request that never reads its session costs nothing. With `eager: true`, each request
 * loads its session first, and `ctx.session` is the session itself.
 *
 * Several middlewares, with a manager and a `decorator` each, make independent sessions.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function koaSessions(options: KoaSessionsOptions): KoaSessions {
  const { decorator, eager, sessions } = resolveOptions(options);
  const http = new HttpSessions(framework, sessions);
  const key = managerKey(http.manager);

  const middleware: Middleware = async (ctx, next) => {
    const slots = slotsOf(ctx);
    const former = slots[key];
    if (former?.owner === middleware) return next();
    if (former !== undefined) throw twice();
    const slot = new Slot(middleware, http, ctx);
    slots[key] = slot;
    exposeLoaded(ctx, slot);
    if (eager) Reflect.set(ctx, decorator, await slot.open());
    else Object.defineProperty(ctx, decorator, { get: () => slot.open(), configurable: true, enumerable: true });
    const head: Head = { ctx, headers: {} };
    try {
      await finishing(slot, head, next);
    } catch (error) {
      keepHeaders(error, head);
      throw error;
    }
  };
  return Object.assign(middleware, { close: () => http.close() });
}

/** The session of one request. */
class Slot extends LazySession<Context, Head> {
  /** The middleware that made it. */
  readonly owner: Middleware;

  constructor(owner: Middleware, sessions: HttpSessions<Context, Head>, ctx: Context) {
    super(sessions, ctx);
    this.owner = owner;
  }
}

/** Saves also when a middleware has thrown: changes before the error stay, and the token of a login is sent. */
async function finishing(slot: Slot, head: Head, next: () => Promise<unknown>): Promise<void> {
  try {
    await next();
  } finally {
    await slot.finish(head);
  }
}

/** Koa removes all headers before it answers an error, and then sets those in `error.headers`. */
function keepHeaders(error: unknown, { headers }: Head): void {
  if (!(error instanceof Error)) return;
  Object.assign(error, { headers: { ...("headers" in error && Object(error.headers)), ...headers } });
}

function exposeLoaded({ req }: Context, slot: Slot): void {
  if (!(loadedSessionKey in req)) Reflect.set(req, loadedSessionKey, slot);
}

/**
 * Returns the session of a request, typed by its manager: needs no type declaration.
 *
 * @throws SessionError `INVALID_ARGUMENT` where no middleware with this manager has run
 */
export function sessionOf<Data extends object, Input extends object>(
  ctx: Context,
  manager: SessionManager<Data, Input>,
): Promise<RequestSession<Data>> {
  const slot = slotsOf(ctx)[managerKey(manager)];
  if (slot === undefined) {
    const message = `${packageName}: koaSessions with this manager does not run before the code that asks for its session`;
    throw new SessionError("INVALID_ARGUMENT", message);
  }
  // The middleware has put it there, for a manager of this type.
  return slot.open() as unknown as Promise<RequestSession<Data>>;
}

function twice(): SessionError {
  const reason =
    "two middlewares have the same manager, so that each would write over the other's changes: use one of them";
  return new SessionError("INVALID_OPTION", `${packageName}: ${reason}`);
}

/** Returns a context with its symbol properties, which Koa's types do not declare. */
function slotsOf(ctx: object): Record<symbol, Slot | undefined> {
  return ctx as Record<symbol, Slot | undefined>;
}
