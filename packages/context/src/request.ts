import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { invalidOption, refuseUnknownOptions } from "@sojourn/core/bridge";
import { emitIn } from "./bind.js";
import type { Context, SomeValues } from "./context.js";
import { requestIds } from "./request-id.js";

/** What the bridges to Express and Fastify have in common. */
export interface RequestContextOptions<Request, Own extends object = object> {
  /**
   * The header that carries the request id, such as `"x-request-id"`, where a proxy in front sets it on every request.
   * Values that `requestIds` would not take are replaced. Default: none, each request gets a new UUID.
   */
  readonly requestIdHeader?: string | undefined;
  /**
   * The storage id of the session that the request has at that moment: never what its client holds, which is a secret.
   * Asked each time that it is wanted. Default: that of the framework's own session, see each bridge.
   */
  readonly sessionId?: ((request: Request) => string | undefined) | undefined;
  /**
   * Who is logged in. Asked each time that it is wanted, and only while the request has a session. Default: the user of the
   * framework's own session where that has one, see each bridge.
   */
  readonly userId?: ((request: Request) => string | null | undefined) | undefined;
  /** Values of the application, or others in place of ours. Getters are asked each time. Default: none. */
  readonly values?: ((request: Request) => SomeValues<Own>) | undefined;
}

/** What the framework's own session says of itself. */
export interface Identity {
  readonly id: string | undefined;
  readonly userId?: string | undefined;
}

/** The two emitters of a request, on which frameworks, body parsers and loggers listen. */
interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Makes the function that runs the rest of a request in its context. */
export function requestRunner<Request extends { readonly headers: IncomingHttpHeaders }, Own extends object>(
  context: Pick<Context<Own, string | undefined>, "runWithContext" | "snapshot">,
  options: RequestContextOptions<Request, Own>,
  identify: (request: Request) => Identity | undefined,
): (request: Request, exchange: Exchange, next: () => void) => void {
  const { requestIdHeader, sessionId, userId, values } = resolveOptions(options);
  const idOf = sessionId ?? ((request) => identify(request)?.id);
  const userOf = userId ?? ((request) => identify(request)?.userId);
  const makeId = requestIds(requestIdHeader);

  // A class: V8 makes a hidden class for each object with getters of its own, and its collection costs more than the request.
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
  // As the getters of an object are: `getContext` lists them.
  for (const key of ["sessionId", "userId"]) Object.defineProperty(Live.prototype, key, { enumerable: true });

  return (request, exchange, next) => {
    const start = (): void => {
      // The parser of a connection emits in a context of its own, and so would whoever listens for a body or the end.
      const run = context.snapshot();
      emitIn(run, exchange.request, context);
      emitIn(run, exchange.response, context);
      next();
    };
    // These are the keys that `ContextValues` has unless `Own` has others in their place, which `values` gives then.
    context.runWithContext(new Live(request) as unknown as SomeValues<Own>, () => {
      if (values === undefined) start();
      else context.runWithContext(values(request), start);
    });
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
