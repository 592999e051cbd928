import {
  type HttpFramework,
  HttpSessions,
  type HttpSessionsOptions,
  LazySession,
  type RequestSession,
} from "@sojourn/core/bridge";
import type { Context, Middleware } from "koa";

/** Takes the headers that the session sets on the response of a request. */
interface Head {
  readonly ctx: Context;
  /** The same headers, for the response to an error. */
  readonly headers: Record<string, string>;
}

const framework: HttpFramework<Context, Head> = {
  packageName: "koa-bridge",
  header(ctx, name) {
    const value = ctx.headers[name];
    return typeof value === "string" ? value : undefined;
  },
  ip: (ctx) => ctx.ip,
  setHeader({ ctx, headers }, name, value) {
    headers[name] = value;
    // Other cookies of this response stay.
    if (name === "set-cookie") ctx.append(name, value);
    else ctx.set(name, value);
  },
  responseHeader: ({ ctx }, name) => ctx.response.get(name),
  isHeadSent: ({ ctx }) => ctx.headerSent,
};

/**
 * Sessions for Koa: `app.use(sessions.middleware)`, and `await sessions.of(ctx)` in the middleware after it.
 *
 * @typeParam Data - type of the session data
 */
export class KoaSessions<Data extends object> {
  readonly #sessions: HttpSessions<Context, Head>;
  readonly #opened = new WeakMap<Context, LazySession<Context, Head>>();

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: HttpSessionsOptions<Context>) {
    this.#sessions = new HttpSessions(framework, options);
  }

  /** Loads the session of a request when it is first called. */
  of(ctx: Context): Promise<RequestSession<Data, Context, Head>> {
    let lazy = this.#opened.get(ctx);
    if (lazy === undefined) {
      lazy = new LazySession(this.#sessions, ctx);
      this.#opened.set(ctx, lazy);
    }
    // The application states the type of its data.
    return lazy.open() as Promise<unknown> as Promise<RequestSession<Data, Context, Head>>;
  }

  /** Saves the session after the middleware that follows, and before Koa sends the response. */
  readonly middleware: Middleware = async (ctx, next) => {
    const head: Head = { ctx, headers: {} };
    try {
      try {
        await next();
      } finally {
        await this.#opened.get(ctx)?.finish(head);
      }
    } catch (error) {
      // Koa removes all headers before it answers an error, and then sets those in `error.headers`.
      if (error instanceof Error) {
        const headers = { ...("headers" in error && Object(error.headers)), ...head.headers };
        Object.assign(error, { headers });
      }
      throw error;
    }
  };

  /** Closes the manager if it was made for a `store`. */
  close(): Promise<void> {
    return this.#sessions.close();
  }
}
