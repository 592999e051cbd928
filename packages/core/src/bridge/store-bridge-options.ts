import type { SessionMetadata } from "../content/content.js";
import type { SessionData } from "../content/session-data.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import { SessionManager } from "../sessions/manager.js";
import type { SessionManagerOptions } from "../sessions/options.js";

interface FrameworkOptions<Request, Framework extends object> {
  /**
   * Whose session this is, told by its data; nothing while nobody is logged in. It fills the index that `listByUser`,
   * `destroyByUser` and `sessionLimit` go by. Called with what is stored and with what is about to be: keep it free of
   * effects. Default: nobody's.
   */
  readonly userId?: ((data: Partial<Framework>) => string | null | undefined) | undefined;
  /** What to note about where a new session comes from, for "active sessions" pages. Default: nothing. */
  readonly metadata?: ((request: Request) => SessionMetadata) | undefined;
}

interface WithManager<Request, Framework extends object, Data extends object>
  extends FrameworkOptions<Request, Framework> {
  /** A manager that the application uses elsewhere too. Its options hold. */
  readonly manager: SessionManager<Data>;
  readonly store?: undefined;
}

/** Other defaults than the manager's own, because here the cookie decides how long a session lives. */
interface WithStore<Request, Framework extends object, Data extends object>
  extends FrameworkOptions<Request, Framework>,
    SessionManagerOptions<Data, object> {
  readonly manager?: undefined;
  /** How long a session lives whose cookie has no `maxAge`, and so ends with the browser session. Default `"1d"`. */
  readonly idleTimeout?: SessionManagerOptions["idleTimeout"];
  /**
   * A session older than this ends, however long its cookie lives. Default `"400d"`, the longest that browsers keep a
   * cookie (RFC 6265bis).
   */
  readonly absoluteTimeout?: SessionManagerOptions["absoluteTimeout"];
}

/**
 * The options of a store for a framework: a `manager`, or a `store` with the options of a manager to be made for it.
 *
 * @typeParam Request - the framework's request
 * @typeParam Framework - what the framework's types say that a session holds
 * @typeParam Data - what the sessions of `manager` hold, for its other users
 */
export type StoreBridgeOptions<Request, Framework extends object, Data extends object = SessionData> =
  | WithManager<Request, Framework, Data>
  | WithStore<Request, Framework, Data>;

/** Options with their defaults, and the manager, made if none was given. */
export interface ResolvedStoreBridgeOptions<Request, Framework extends object, Data extends object = SessionData> {
  readonly userId: (data: Partial<Framework>) => string | null | undefined;
  readonly metadata: (request: Request) => SessionMetadata;
  readonly manager: SessionManager<Data>;
}

/**
 * Checks what an application passed to the store of a bridge.
 *
 * @param packageName - the bridge's, for messages
 * @throws SessionError `INVALID_OPTION`
 */
export function resolveStoreBridgeOptions<Request, Framework extends object, Data extends object>(
  packageName: string,
  options: StoreBridgeOptions<Request, Framework, Data>,
): ResolvedStoreBridgeOptions<Request, Framework, Data> {
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
  const { idleTimeout = "1d", absoluteTimeout = "400d", ...others } = rest as SessionManagerOptions<Data, object>;
  const made = new SessionManager<Data, object>({ ...others, idleTimeout, absoluteTimeout });
  // The framework hands over what it holds; the schema, if there is one, makes that the data.
  return { userId, metadata, manager: made as SessionManager<Data> };
}
