import {
  type HttpSessionsOptions,
  invalidOption,
  type RequestProperty,
  resolveRequestProperty,
} from "@sojourn/core/bridge";
import type { Context } from "koa";
import { packageName } from "./framework.js";

/** A `manager`, or a `store` with options for a manager that is made for it; and the `secret` of a cookie, or a `header`. */
export type KoaSessionsOptions = HttpSessionsOptions<Context> & {
  /** The name of the property of `ctx`. A second middleware needs another one. Default `"session"`. */
  readonly decorator?: string | undefined;
  /**
   * Whether each request loads its session before the next middleware, so that `ctx.session` is the session itself. Default
   * false: `await ctx.session` loads it.
   */
  readonly eager?: boolean | undefined;
};

export interface ResolvedOptions extends RequestProperty {
  readonly sessions: HttpSessionsOptions<Context>;
}

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: KoaSessionsOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(packageName, "options", "an object", options);
  }
  const { decorator, eager, ...sessions } = options;
  return { ...resolveRequestProperty(packageName, { decorator, eager }), sessions };
}
