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
};

export interface ResolvedOptions {
  readonly decorator: string;
  readonly sessions: HttpSessionsOptions<FastifyRequest>;
}

/** Options of Fastify's own `register`, which it passes on to the plugin. */
const registerOptions: ReadonlySet<string> = new Set(["prefix", "logLevel", "logSerializers"]);

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions({ decorator = "session", ...others }: FastifySessionsOptions): ResolvedOptions {
  if (typeof decorator !== "string" || decorator === "") {
    throw invalidOption(packageName, "decorator", "the name of a property", decorator);
  }
  const own = Object.entries(others).filter(([option]) => !registerOptions.has(option));
  return { decorator, sessions: Object.fromEntries(own) as unknown as HttpSessionsOptions<FastifyRequest> };
}
