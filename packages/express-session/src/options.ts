import {
  invalidOption,
  type SessionData as ManagedData,
  refuseUnknownOptions,
  type SessionManager,
  type SessionManagerOptions,
  type SessionMetadata,
} from "@sojourn/core";
import type { SessionData, Store } from "express-session";

/** The request that a session is made for, as Express types it. */
export type Request = Parameters<Store["createSession"]>[0];

interface BridgeOptions {
  /**
   * Whose session this is, told by its data; nothing while nobody is logged in. It fills the index that `listByUser`,
   * `destroyByUser` and `sessionLimit` go by. Called with what is stored and with what is about to be: keep it free of
   * effects. Default: nobody's.
   */
  readonly userId?: ((data: Partial<SessionData>) => string | null | undefined) | undefined;
  /** What to note about where a new session comes from, for "active sessions" pages. Default: nothing. */
  readonly metadata?: ((req: Request) => SessionMetadata) | undefined;
}

interface WithManager<Data extends object> extends BridgeOptions {
  /** A manager that the application uses elsewhere too. Its options hold. */
  readonly manager: SessionManager<Data>;
  readonly store?: undefined;
}

/** Other defaults than the manager's own, because here the cookie decides how long a session lives. */
interface WithStore<Data extends object> extends BridgeOptions, SessionManagerOptions<Data, object> {
  readonly manager?: undefined;
  /** How long a session lives whose cookie has no `maxAge`, and so ends with the browser session. Default `"1d"`. */
  readonly idleTimeout?: SessionManagerOptions["idleTimeout"];
  /**
   * A session older than this ends, however long its cookie lives. Default `"400d"`, the longest that browsers keep a
   * cookie (RFC 6265bis).
   */
  readonly absoluteTimeout?: SessionManagerOptions["absoluteTimeout"];
  /** A touch is written only when it moves the deadline by at least this much. Default 0: each one, as express-session expects. */
  readonly touchAfter?: SessionManagerOptions["touchAfter"];
}

/** A `manager`, or a `store` with the options of a manager to be made for it. */
export type ExpressSessionStoreOptions<Data extends object = ManagedData> = WithManager<Data> | WithStore<Data>;

export interface ResolvedOptions<Data extends object = ManagedData> {
  readonly userId: (data: Partial<SessionData>) => string | null | undefined;
  readonly metadata: (req: Request) => SessionMetadata;
  /** A manager, or what to make one of. */
  readonly manager: SessionManager<Data> | SessionManagerOptions<Data, object>;
}

const packageName = "@sojourn/express-session";

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions<Data extends object>(options: ExpressSessionStoreOptions<Data>): ResolvedOptions<Data> {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(packageName, "options", "an object", options);
  }
  const { userId = () => undefined, metadata = () => ({}), manager, ...rest } = options;
  if (typeof userId !== "function") throw invalidOption(packageName, "userId", "a function", userId);
  if (typeof metadata !== "function") throw invalidOption(packageName, "metadata", "a function", metadata);
  if (manager !== undefined) {
    if (typeof manager?.byId?.get !== "function") {
      throw invalidOption(packageName, "manager", "a SessionManager", manager);
    }
    refuseUnknownOptions(`${packageName}, beside a manager`, rest, ["userId", "metadata"]);
    return { userId, metadata, manager };
  }
  // `store` is missing from the type where a manager is given, and that has returned.
  const {
    idleTimeout = "1d",
    absoluteTimeout = "400d",
    touchAfter = 0,
    ...others
  } = rest as SessionManagerOptions<Data, object>;
  return { userId, metadata, manager: { ...others, idleTimeout, absoluteTimeout, touchAfter } };
}
