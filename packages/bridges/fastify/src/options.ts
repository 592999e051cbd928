import { type HttpSessionsOptions, invalidOption } from "@sojourn/core/bridge";
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

export interface ResolvedOptions {
  readonly decorator: string;
  readonly eager: boolean;
  readonly sessions: HttpSessionsOptions<FastifyRequest>;
}

/** Options of Fastify's own `register`, which it passes on to the plugin. */
const registerOptions: ReadonlySet<string> = new Set(["prefix", "logLevel", "logSerializers"]);

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions({
  decorator = "session",
  eager = false,
  ...others
}: FastifySessionsOptions): ResolvedOptions {
  if (typeof decorator !== "string" || decorator === "") {
    throw invalidOption(packageName, "decorator", "the name of a property", decorator);
  }
  if (typeof eager !== "boolean") throw invalidOption(packageName, "eager", "a boolean", eager);
  const own = Object.entries(others).filter(([option]) => !registerOptions.has(option));
  return { decorator, eager, sessions: Object.fromEntries(own) as unknown as HttpSessionsOptions<FastifyRequest> };
}
