import { type HttpSessionsOptions, type RequestProperty, resolveRequestProperty } from "@sojourn/core/bridge";
import type { FastifyRequest } from "fastify";
import { packageName } from "./framework.js";

/**
 * A `manager`, or a `store` with options for a manager that is made for it and closed with the server; and the `secret` of
 * a cookie, or a `header`.
 */
export type FastifySessionsOptions = HttpSessionsOptions<FastifyRequest> & {
  /** The name of the request's decorator. A second registration in one scope needs another. Default `"session"`. */
  readonly decorator?: string | undefined;
  /**
   * Whether each request loads its session in an `onRequest` hook, so that `request.session` is an object and no promise. It
   * then has the members that plugins such as @fastify/passport call. Default false.
   */
  readonly eager?: boolean | undefined;
};

export interface ResolvedOptions extends RequestProperty {
  readonly sessions: HttpSessionsOptions<FastifyRequest>;
}

/** Options of Fastify's own `register`, which it passes on to the plugin. */
const registerOptions: ReadonlySet<string> = new Set(["prefix", "logLevel", "logSerializers"]);

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions({ decorator, eager, ...others }: FastifySessionsOptions): ResolvedOptions {
  const property = resolveRequestProperty(packageName, { decorator, eager });
  const own = Object.entries(others).filter(([option]) => !registerOptions.has(option));
  return { ...property, sessions: Object.fromEntries(own) as unknown as HttpSessionsOptions<FastifyRequest> };
}
