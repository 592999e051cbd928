import { type HttpFramework, whenClosed } from "@sojourn/core/bridge";
import type { Context } from "koa";

export const packageName = "@sojourn/koa";

/** The head of a response. */
export interface Head {
  readonly ctx: Context;
  /** The headers that the session has set, for the response to an error. */
  readonly headers: Record<string, string>;
}

export const framework: HttpFramework<Context, Head> = {
  packageName,
  ownOptions: ["decorator", "eager"],
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
  onClosed: ({ ctx }, listener) => whenClosed(ctx.res, listener),
};
