import type { SessionMetadata } from "../content/content.js";
import type { SessionData } from "../content/session-data.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import { requireOptions } from "../contract/require-options.js";
import type { UserId } from "../contract/user-id.js";
import { SessionManager } from "../sessions/manager.js";
import { managerOptions, type SessionManagerOptions } from "../sessions/options.js";

interface FrameworkOptions<Request, Framework extends object> {
  /**
   * Returns the user of a session from its data; nothing for an anonymous session. It fills the index that `listByUser`,
   * `destroyByUser` and `sessionLimit` use. It is called with stored data and with data about to be stored, and must have no
   * side effects. Default: every session is anonymous.
   */
  readonly userId?: ((data: Partial<Framework>) => UserId | null | undefined) | undefined;
  /** Returns the metadata of a new session, for "active sessions" pages. Default: none. */
  readonly metadata?: ((request: Request) => SessionMetadata) | undefined;
}

interface WithManager<Request, Framework extends object, Data extends object>
  extends FrameworkOptions<Request, Framework> {
  /** A manager that the application also uses elsewhere. Its options apply. */
  readonly manager: SessionManager<Data>;
  readonly store?: undefined;
}

/** Has other defaults than the manager, because here the cookie decides how long a session lives. */
interface WithStore<Request, Framework extends object, Data extends object>
  extends FrameworkOptions<Request, Framework>,
    SessionManagerOptions<Data, object> {
  readonly manager?: undefined;
  /** Idle timeout of a session whose cookie has no `maxAge` and ends with the browser. Default `"1d"`. */
  readonly idleTimeout?: SessionManagerOptions["idleTimeout"];
  /**
   * Absolute timeout: a session older than this ends, even if its cookie lives longer. Default `"400d"`, because browsers keep
   * no cookie longer (RFC 6265bis).
   */
  readonly absoluteTimeout?: SessionManagerOptions["absoluteTimeout"];
}

/**
 * Options of a store for a framework: a `manager`, or a `store` with options for a manager that is made for it.
 *
 * @typeParam Request - the framework's request
 * @typeParam Framework - the framework's type of a session
 * @typeParam Data - the manager's type of the session data
 */
export type StoreBridgeOptions<Request, Framework extends object, Data extends object = SessionData> =
  | WithManager<Request, Framework, Data>
  | WithStore<Request, Framework, Data>;

/** The options with their defaults, and the manager. */
export interface ResolvedStoreBridgeOptions<Request, Framework extends object, Data extends object = SessionData> {
  readonly userId: (data: Partial<Framework>) => UserId | null | undefined;
  readonly metadata: (request: Request) => SessionMetadata;
  readonly manager: SessionManager<Data>;
}

/**
 * Checks the options that an application passed to the store of a bridge, and makes a manager if there is none.
 *
 * @param packageName - the bridge's, for error messages
 * @param usage - the call as it should be written, for error messages
 * @throws SessionError `INVALID_OPTION`
 */
export function resolveStoreBridgeOptions<Request, Framework extends object, Data extends object>(
  packageName: string,
  usage: string,
  options: StoreBridgeOptions<Request, Framework, Data>,
): ResolvedStoreBridgeOptions<Request, Framework, Data> {
  const own = ["manager", "userId", "metadata"];
  requireOptions(options, { packageName, usage, known: [...own, ...managerOptions] });
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
  // Without a manager, `rest` has the options of one.
  const { idleTimeout = "1d", absoluteTimeout = "400d", ...others } = rest as SessionManagerOptions<Data, object>;
  const made = new SessionManager<Data, object>({ ...others, idleTimeout, absoluteTimeout });
  // The framework passes its own session type; a schema turns it into the data.
  return { userId, metadata, manager: made as SessionManager<Data> };
}
