import type { EventEmitter } from "node:events";
import { invalidOption, refuseUnknownOptions } from "@sojourn/core/bridge";
import { emitIn } from "./bind.js";
import type { Context, SomeValues } from "./context.js";
import { type RequestHeaders, requestIds } from "./request-id.js";

/** The options that the bridges to all frameworks share. */
export interface RequestContextOptions<Request, Own extends object = object> {
  /**
   * The header with the request id, such as `"x-request-id"`, where a proxy in front sets it on every request. A value
   * that `requestIds` refuses is replaced. Default: none, each request gets a new UUID.
   */
  readonly requestIdHeader?: string | undefined;
  /**
   * Returns the storage id of the request's current session, never the client's secret. Called at each access. Default:
   * the id of the framework's own session, see each bridge.
   */
  readonly sessionId?: ((request: Request) => string | undefined) | undefined;
  /**
   * Returns the id of the logged-in user. Called at each access, while the request has a session. Default: the user of
   * the framework's own session where it has one, see each bridge.
   */
  readonly userId?: ((request: Request) => string | null | undefined) | undefined;
  /**
   * Returns values of the application, which override ours of the same name. Getters are called at each access.
   * Default: none.
   */
  readonly values?: ((request: Request) => SomeValues<Own>) | undefined;
}

/** Reads the session id and the user of the framework's own session. */
export interface Identity {
  readonly id: string | undefined;
  readonly userId?: string | undefined;
}

/** Request and response of Node.js, on which frameworks, body parsers and loggers listen. None in servers that use Fetch. */
type Emitters = readonly Pick<EventEmitter, "emit">[];

/** Runs the rest of a request in its context, and returns the result. */
type RequestRunner<Request> = <Result>(request: Request, emitters: Emitters, next: () => Result) => Result;

/** The members of a context that bridges use. */
export type RequestContext<Own extends object> = Pick<Context<Own, string | undefined>, "runWithContext" | "snapshot">;

/**
 * The symbol under which our session bridges expose the session that a request has loaded: reading `session` would load
 * one.
 */
const loadedSessionKey = Symbol.for("sojourn.loadedSession");

/**
 * Returns the session that a request has loaded with one of our bridges.
 *
 * @param otherwise - called if none of our bridges serves the request
 */
export function identifyLoaded<Request extends object>(
  request: Request,
  otherwise?: (request: Request) => Identity | undefined,
): Identity | undefined {
  if (!(loadedSessionKey in request)) return otherwise?.(request);
  // Our bridges put it there.
  return Reflect.get(request, loadedSessionKey) as Identity | undefined;
}

/** Returns a function that runs the rest of a request in its context. */
export function requestRunner<Request extends RequestHeaders, Own extends object>(
  context: RequestContext<Own>,
  options: RequestContextOptions<Request, Own>,
  identify: (request: Request) => Identity | undefined,
): RequestRunner<Request> {
  const { requestIdHeader, sessionId, userId, values } = resolveOptions(options);
  const idOf = sessionId ?? ((request) => identify(request)?.id);
  const userOf = userId ?? ((request) => identify(request)?.userId);
  const makeId = requestIds(requestIdHeader);

  // A class, because V8 makes a hidden class for each object with its own getters, and collecting them costs more than
  // the request.
  class Live {
    readonly requestId: string;
    readonly #request: Request;
    constructor(request: Request) {
      this.requestId = makeId(request);
      this.#request = request;
    }
    get sessionId(): string | undefined {
      return idOf(this.#request);
    }
    get userId(): string | undefined {
      return this.sessionId === undefined ? undefined : (userOf(this.#request) ?? undefined);
    }
  }
  // Enumerable, as the getters of an object literal are: `getContext` lists them.
  for (const key of ["sessionId", "userId"]) Object.defineProperty(Live.prototype, key, { enumerable: true });

  return <Result>(request: Request, emitters: Emitters, next: () => Result) => {
    const start = (): Result => {
      if (emitters.length > 0) {
        // The parser of a connection emits in a context of its own, and listeners for a body or the end would run in it.
        const run = context.snapshot();
        for (const emitter of emitters) emitIn(run, emitter, context);
      }
      return next();
    };
    // `ContextValues` has these keys, unless `Own` replaces them; `values` then returns them.
    return context.runWithContext(new Live(request) as unknown as SomeValues<Own>, () =>
      values === undefined ? start() : context.runWithContext(values(request), start),
    );
  };
}

function resolveOptions<Request, Own extends object>(
  options: RequestContextOptions<Request, Own>,
): RequestContextOptions<Request, Own> {
  const packageName = "@sojourn/context";
  if (typeof options !== "object" || options === null)
    throw invalidOption(packageName, "options", "an object", options);
  refuseUnknownOptions(packageName, options, ["requestIdHeader", "sessionId", "userId", "values"]);
  for (const name of ["sessionId", "userId", "values"] as const) {
    const value = options[name];
    if (value !== undefined && typeof value !== "function") throw invalidOption(packageName, name, "a function", value);
  }
  return options;
}
