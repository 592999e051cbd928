import {
  type HttpSessionsOptions,
  invalidOption,
  type RequestProperty,
  resolveRequestProperty,
  type SessionCookieOptions,
} from "@sojourn/core/bridge";
import type { Request } from "express";
import { packageName } from "./framework.js";

/**
 * A `manager`, or a `store` with options for a manager that is made for it; and the `secret` of a cookie, or a `header`.
 */
export type ExpressSessionsOptions = HttpSessionsOptions<Request> & {
  /** The name of the request's property. A second middleware needs another one. Default `"session"`. */
  readonly decorator?: string | undefined;
  /**
   * Whether each request loads its session before the next middleware, so that `req.session` is the session itself. Default
   * false: `await req.session` loads it.
   */
  readonly eager?: boolean | undefined;
  /**
   * Whether `req.session` is as in express-session, for Passport and other packages: the data as its properties, and `save`,
   * `regenerate`, `destroy` and `reload` with callbacks. Each request then loads its session. Default false.
   */
  readonly habits?: boolean | undefined;
  /**
   * With `habits`: returns the user of a session's data, such as `(data) => data.passport?.user`. When it is another one than
   * before, the session is saved under a new token. Default: the session has no user, and is in no list of sessions.
   */
  // A method, so that the application may state the type of its data.
  userId?(data: object): string | number | bigint | null | undefined;
};

/** What `habits` needs. */
export interface Habits {
  readonly userId: ExpressSessionsOptions["userId"];
  readonly saveUninitialized: boolean;
  readonly cookie: Omit<SessionCookieOptions, "secret">;
}

export interface ResolvedOptions extends RequestProperty {
  readonly habits: Habits | undefined;
  readonly sessions: HttpSessionsOptions<Request>;
}

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: ExpressSessionsOptions): ResolvedOptions {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(packageName, "options", "an object", options);
  }
  const { decorator, eager, habits = false, userId, ...sessions } = options;
  const property = resolveRequestProperty(packageName, { decorator, eager });
  if (typeof habits !== "boolean") throw invalidOption(packageName, "habits", "a boolean", habits);
  if (userId !== undefined && (typeof userId !== "function" || !habits)) {
    throw invalidOption(packageName, "userId", 'a function, beside "habits: true"', userId);
  }
  const { saveUninitialized = false, cookie = {} } = sessions;
  return { ...property, habits: habits ? { userId, saveUninitialized, cookie } : undefined, sessions };
}
