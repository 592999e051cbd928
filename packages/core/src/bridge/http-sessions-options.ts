import type { SessionMetadata } from "../content/content.js";
import { invalidOption, refuseUnknownOptions } from "../contract/errors.js";
import { requireOptions } from "../contract/require-options.js";
import { SessionManager } from "../sessions/manager.js";
import { managerOptions, type SessionManagerOptions } from "../sessions/options.js";
import type { HttpFramework } from "./http-framework.js";
import { SessionCookie, type SessionCookieOptions } from "./session-cookie.js";
import { cookieTransport, headerTransport, type Transport } from "./transport.js";

interface RequestOptions<Request> {
  /** Whether an empty session that a request has asked for is stored, and its token sent. Default false. */
  readonly saveUninitialized?: boolean | undefined;
  /** Returns the metadata of a new session, for "active sessions" pages. Default: none. */
  readonly metadata?: ((request: Request) => SessionMetadata) | undefined;
}

interface ByCookie {
  /** Signs the cookie: {@link SessionCookieOptions.secret}. */
  readonly secret: SessionCookieOptions["secret"];
  /** Name and attributes of the cookie. Default: host-only, `Secure`, `HttpOnly`, `SameSite=Lax`, ends with the browser. */
  readonly cookie?: Omit<SessionCookieOptions, "secret"> | undefined;
  readonly header?: undefined;
}

/** For clients without cookies. Browsers add no such header themselves, so requests of other sites have no session. */
interface ByHeader {
  /**
   * The request header that holds the token; for `"authorization"` behind `Bearer`. A new token is answered in the response
   * header of the same name, for `"authorization"` in `session-token`. An empty one means that the session has ended.
   */
  readonly header: string;
  readonly secret?: undefined;
  readonly cookie?: undefined;
}

/** A manager of any sessions: the members that do not depend on the type of the data. */
type AnyManager = Pick<SessionManager, "destroy" | "destroyById" | "destroyByUser" | "stats" | "close">;

interface WithManager {
  /** A manager that the application also uses elsewhere, and closes. */
  readonly manager: AnyManager;
  readonly store?: undefined;
}

interface WithStore extends SessionManagerOptions {
  readonly manager?: undefined;
}

/**
 * A `manager`, or a `store` with options for a manager that the bridge makes and closes; and the `secret` of a cookie, or a
 * `header`.
 */
export type HttpSessionsOptions<Request> = RequestOptions<Request> & (ByCookie | ByHeader) & (WithManager | WithStore);

/** The options with their defaults, and the objects that they describe. */
export interface ResolvedHttpSessionsOptions<Request, Response> {
  readonly framework: HttpFramework<Request, Response>;
  readonly manager: SessionManager;
  /** Whether the manager was made for these options. */
  readonly ownsManager: boolean;
  readonly transport: Transport<Request, Response>;
  readonly saveUninitialized: boolean;
  readonly metadata: (request: Request) => SessionMetadata;
}

/** Characters of a header name (RFC 9110, 5.6.2). */
const headerPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** @throws SessionError `INVALID_OPTION` */
export function resolveHttpSessionsOptions<Request, Response>(
  framework: HttpFramework<Request, Response>,
  options: HttpSessionsOptions<Request>,
): ResolvedHttpSessionsOptions<Request, Response> {
  const { packageName } = framework;
  requireOptions(options, { packageName, usage: "the options as { store, secret }", known: knownOptions(framework) });
  const { saveUninitialized = false, metadata = () => ({}), ...others } = options;
  const { secret, cookie, header, manager, ...rest } = others;
  if (typeof saveUninitialized !== "boolean") {
    throw invalidOption(packageName, "saveUninitialized", "a boolean", saveUninitialized);
  }
  if (typeof metadata !== "function") throw invalidOption(packageName, "metadata", "a function", metadata);
  return {
    framework,
    ...resolveManager(packageName, manager, rest),
    transport:
      header === undefined
        ? cookieTransport(framework, resolveCookie(packageName, secret, cookie))
        : headerTransport(framework, resolveHeader(packageName, header, secret ?? cookie)),
    saveUninitialized,
    metadata,
  };
}

function knownOptions({ ownOptions = [] }: Pick<HttpFramework<unknown, unknown>, "ownOptions">): string[] {
  const shared = ["manager", "secret", "cookie", "header", "saveUninitialized", "metadata"];
  return [...shared, ...ownOptions, ...managerOptions];
}

function resolveCookie(
  packageName: string,
  secret: ByCookie["secret"] | undefined,
  cookie: ByCookie["cookie"] = {},
): SessionCookie {
  if (typeof cookie !== "object" || cookie === null) throw invalidOption(packageName, "cookie", "an object", cookie);
  if ("secret" in cookie) {
    throw invalidOption(packageName, "cookie", 'without "secret", which stands beside it', cookie);
  }
  // The cookie refuses a missing secret.
  return new SessionCookie({ ...cookie, secret: secret as ByCookie["secret"] });
}

function resolveHeader(packageName: string, header: string, cookieOption: unknown): string {
  if (typeof header !== "string" || !headerPattern.test(header) || /^(set-)?cookie$/i.test(header)) {
    throw invalidOption(packageName, "header", "the name of a header", header);
  }
  if (cookieOption !== undefined) {
    throw invalidOption(packageName, "header", 'missing where there is a "secret" or "cookie"', header);
  }
  return header.toLowerCase();
}

function resolveManager(
  packageName: string,
  manager: AnyManager | undefined,
  rest: object,
): Pick<ResolvedHttpSessionsOptions<unknown, unknown>, "manager" | "ownsManager"> {
  if (manager === undefined) {
    // `store` is missing from the type where a manager is given.
    return { manager: new SessionManager(rest as SessionManagerOptions), ownsManager: true };
  }
  // The type of the data concerns the application only: here it is JSON.
  const any = manager as SessionManager;
  if (typeof any?.byId?.get !== "function") throw invalidOption(packageName, "manager", "a SessionManager", manager);
  refuseUnknownOptions(`${packageName}, beside a manager`, rest, []);
  return { manager: any, ownsManager: false };
}
