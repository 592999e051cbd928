import type { Context as KoaContext } from "koa";
import { identifyLoaded, type RequestContext, type RequestContextOptions, requestRunner } from "./request.js";

export type KoaContextOptions<Own extends object = object> = RequestContextOptions<KoaContext, Own>;

/**
 * Middleware for Koa 2 and 3 that runs each request in a context: `app.use(koaContext(context))`. Use it first.
 *
 * With `@sojourn/koa`, `sessionId` and `userId` belong to the session that the request has loaded: they follow a
 * `regenerate` and disappear with a `destroy`. A log line loads no session.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function koaContext<Own extends object = object>(
  context: RequestContext<Own>,
  options: KoaContextOptions<Own> = {},
): <Result>(ctx: KoaContext, next: () => Promise<Result>) => Promise<Result> {
  const run = requestRunner(context, options, ({ req }: KoaContext) => identifyLoaded(req));
  return (ctx, next) =>
    run(ctx, [ctx.req, ctx.res], () => {
      handleErrorsIn(context.snapshot(), ctx);
      return next();
    });
}

/** Koa handles an error, and tells the listeners of `error`, after it has left the first middleware. */
function handleErrorsIn(run: ReturnType<RequestContext<object>["snapshot"]>, ctx: KoaContext): void {
  const { onerror } = ctx;
  ctx.onerror = (error) => run(() => onerror.call(ctx, error));
}
