import { identifyLoaded, type RequestContext, type RequestContextOptions, requestRunner } from "./request.js";

export type WebContextOptions<Own extends object = object> = RequestContextOptions<Request, Own>;

/**
 * Returns a function that runs a handler of a Fetch `Request` in a context, and returns the handler's result. Call it in the
 * server's `fetch`, or in the framework's first middleware.
 *
 * With `@sojourn/web`, `sessionId` and `userId` belong to the session that was opened with this request: they follow a
 * `regenerate` and disappear with a `destroy`. A clone of the request has no session.
 *
 * @throws SessionError `INVALID_OPTION`
 * @example
 * ```ts
 * import { createContext, webContext } from "@sojourn/context";
 *
 * const context = createContext();
 * const inContext = webContext(context);
 * const app = {
 *   fetch: (request: Request) => inContext(request, async () => new Response(context.get("requestId"))),
 * };
 * console.log(await (await app.fetch(new Request("https://shop.example/"))).text());
 * ```
 */
export function webContext<Own extends object = object>(
  context: RequestContext<Own>,
  options: WebContextOptions<Own> = {},
): <Result>(request: Request, handler: () => Result) => Result {
  const run = requestRunner(context, options, (request: Request) => identifyLoaded(request));
  return (request, handler) => run(request, [], handler);
}
