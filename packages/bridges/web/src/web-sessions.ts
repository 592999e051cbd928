import {
  HttpSessions,
  type HttpSessionsOptions,
  invalidOption,
  RequestSession as RequestSessionOf,
  SessionError,
  type SessionManager,
  type SessionManagerOptions,
} from "@sojourn/core/bridge";
import type { CookieJar } from "./cookie-jar.js";
import {
  framework,
  type Head,
  isJar,
  JarHead,
  packageName,
  ResponseHead,
  type Source,
  type WebRequest,
} from "./framework.js";

/** The session of a request: {@link RequestSessionOf}. */
export type RequestSession<Data extends object> = RequestSessionOf<Data, Source, Head>;
export const RequestSession: typeof RequestSessionOf = RequestSessionOf;

/** The session type of a manager: `SessionOf<typeof manager>`. */
export type SessionOf<Manager> =
  Manager extends SessionManager<infer Data, infer _Input> ? RequestSession<Data> : never;

/** A `manager`, or a `store` with options for a manager that is made for it; and the `secret` of a cookie, or a `header`. */
export type WebSessionsOptions<Data extends object = object> = HttpSessionsOptions<WebRequest | CookieJar> &
  (
    | { readonly manager: SessionManager<Data, object> }
    | (SessionManagerOptions<Data> & { readonly manager?: undefined })
  ) & {
    /**
     * Returns the client's address, for `binding` and `security` events: a Fetch `Request` has none. Behind a proxy, the
     * header in which it writes the address. Default: none.
     */
    readonly ip?: ((request: WebRequest) => string | undefined) | undefined;
  };

/** Sessions of Fetch requests. @typeParam Data - type of the session data */
export interface WebSessions<Data extends object> {
  /**
   * Loads the session, calls the handler, saves the changes, and puts the cookie on the response.
   *
   * When the handler throws, nothing is saved and no cookie is sent, because there is no response. What the handler has
   * awaited, such as `regenerate`, is stored already.
   *
   * @throws SessionError with a `statusCode` when the session cannot be read or saved, such as `UNAVAILABLE` with 503; and
   * what the handler throws
   */
  handle(
    request: WebRequest,
    handler: (session: RequestSession<Data>) => Response | Promise<Response>,
  ): Promise<Response>;

  /**
   * Loads the session of a request, or of a cookie jar such as `await cookies()` of Next.js. Nothing is saved before
   * {@link WebSessions.commit}.
   *
   * @throws SessionError with a `statusCode`
   */
  open(source: WebRequest | CookieJar): Promise<RequestSession<Data>>;

  /**
   * Saves the changes, and puts the cookie on the response. From here on, a login is refused with `NOT_SUPPORTED`.
   *
   * @returns the response; a copy if it is immutable, as redirects and fetched responses are
   * @throws SessionError with a `statusCode` when the session cannot be saved. Call it again with the response to the error:
   * it does not save again, and sends what was not sent yet
   */
  commit(session: RequestSession<Data>, response: Response): Promise<Response>;

  /** Saves the changes of a session that was opened with a cookie jar, and puts the cookie into the jar. */
  commit(session: RequestSession<Data>): Promise<undefined>;

  /** Closes the manager that was made for a `store`. A `manager` of the application stays open. */
  close(): Promise<void>;
}

/**
 * Sessions for servers that take a Fetch `Request` and answer a `Response`.
 *
 * @typeParam Data - type of the session data, by default the manager's
 * @throws SessionError `INVALID_OPTION`
 */
export function webSessions<Data extends object>({ ip, ...options }: WebSessionsOptions<Data>): WebSessions<Data> {
  if (ip !== undefined && typeof ip !== "function") throw invalidOption(packageName, "ip", "a function", ip);
  const ipOf = (source: Source): string | undefined => (isJar(source) ? undefined : ip?.(source));
  // The bridge room checks them.
  const sessions = new HttpSessions({ ...framework, ip: ipOf }, options as unknown as HttpSessionsOptions<Source>);
  return new FetchSessions<Data>(sessions);
}

class FetchSessions<Data extends object> implements WebSessions<Data> {
  readonly #sessions: HttpSessions<Source, Head>;
  /** The heads of the responses, by session. */
  readonly #heads = new WeakMap<object, ResponseHead | JarHead>();

  constructor(sessions: HttpSessions<Source, Head>) {
    this.#sessions = sessions;
  }

  async handle(
    request: WebRequest,
    handler: (session: RequestSession<Data>) => Response | Promise<Response>,
  ): Promise<Response> {
    const session = await this.open(request);
    return this.commit(session, await handler(session));
  }

  async open(source: Source): Promise<RequestSession<Data>> {
    const session = await this.#sessions.open(source);
    this.#heads.set(session, isJar(source) ? new JarHead(source) : new ResponseHead());
    exposeLoaded(source, session);
    // The application states the type of its data.
    return session as unknown as RequestSession<Data>;
  }

  commit(session: RequestSession<Data>, response: Response): Promise<Response>;
  commit(session: RequestSession<Data>): Promise<undefined>;
  async commit(session: RequestSession<Data>, response?: Response): Promise<Response | undefined> {
    const head = this.#heads.get(session);
    if (head === undefined) throw invalidCall("the session was not opened by these sessions");
    if (head instanceof JarHead) {
      await session.finish(head);
      head.isSent = true;
      return response;
    }
    if (response === undefined) throw invalidCall("a session that was opened with a request needs its response");
    head.expect(response);
    const finishing = session.finish(head);
    if (finishing !== undefined) await finishing;
    return head.send(response);
  }

  close(): Promise<void> {
    return this.#sessions.close();
  }
}

/**
 * Property of a request with its session. Registered globally, because this package and the packages that log do not know
 * each other.
 */
const loadedSessionKey: unique symbol = Symbol.for("sojourn.loadedSession");

/** A request that takes no property, such as a frozen one, is left as it is. */
function exposeLoaded(source: Source, session: object): void {
  if (!(loadedSessionKey in source)) Reflect.set(source, loadedSessionKey, session);
}

function invalidCall(reason: string): SessionError {
  return new SessionError("INVALID_ARGUMENT", `${packageName}: commit: ${reason}`);
}
