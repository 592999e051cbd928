import {
  invalidOption,
  refuseUnknownOptions,
  SessionCookie,
  type SessionCookieOptions,
  SessionManager,
  type SessionManagerOptions,
  type SessionMetadata,
} from "@sojourn/core/bridge";
import type { FastifyRequest } from "fastify";
import { cookieTransport, headerTransport, type Transport } from "./transport.js";

interface CommonOptions {
  /** The name of the request's decorator. A second registration in one scope needs another. Default `"session"`. */
  readonly decorator?: string | undefined;
  /** Whether a session that a request has looked at, and that holds nothing, is stored and its token sent. Default false. */
  readonly saveUninitialized?: boolean | undefined;
  /** What to note about where a new session comes from, for "active sessions" pages. Default: nothing. */
  readonly metadata?: ((request: FastifyRequest) => SessionMetadata) | undefined;
}

interface ByCookie {
  /** Signs the cookie: {@link SessionCookieOptions.secret}. */
  readonly secret: SessionCookieOptions["secret"];
  /** Name and attributes of the cookie. Default: a host's own, `Secure`, `HttpOnly`, `SameSite=Lax`, until the browser closes. */
  readonly cookie?: Omit<SessionCookieOptions, "secret"> | undefined;
  readonly header?: undefined;
}

/** For clients without cookies. Browsers add no header by themselves, so that no request of another site has a session. */
interface ByHeader {
  /**
   * The request header that holds the token; for `"authorization"` behind `Bearer`. A new token is answered in the response
   * header of the same name, for `"authorization"` in `session-token`; an empty one says that the session was destroyed.
   */
  readonly header: string;
  readonly secret?: undefined;
  readonly cookie?: undefined;
}

/** A manager of any sessions, by those of its members that do not depend on what they hold. */
type AnyManager = Pick<SessionManager, "destroy" | "destroyById" | "destroyByUser" | "stats" | "close">;

interface WithManager {
  /** A manager that the application uses elsewhere too, and closes. */
  readonly manager: AnyManager;
  readonly store?: undefined;
}

interface WithStore extends SessionManagerOptions {
  readonly manager?: undefined;
}

/**
 * A `manager`, or a `store` with the options of a manager to be made for it, which is closed with the server; and the
 * `secret` of a cookie, or a `header`.
 */
export type SojournSessionOptions = CommonOptions & (ByCookie | ByHeader) & (WithManager | WithStore);

export interface ResolvedOptions {
  readonly manager: SessionManager;
  /** Whether the manager was made here. */
  readonly ownsManager: boolean;
  readonly transport: Transport;
  readonly decorator: string;
  readonly saveUninitialized: boolean;
  readonly metadata: (request: FastifyRequest) => SessionMetadata;
}

const packageName = "@sojourn/fastify";
/** What Fastify's own `register` takes among a plugin's options. */
const ofRegister = ["prefix", "logLevel", "logSerializers"];
/** The characters of a header's name (RFC 9110, 5.6.2). */
const headerPattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** @throws SessionError `INVALID_OPTION` */
export function resolveOptions(options: SojournSessionOptions): ResolvedOptions {
  const { decorator = "session", saveUninitialized = false, metadata = () => ({}), ...others } = options;
  const { secret, cookie, header, manager, ...rest } = others;
  if (typeof decorator !== "string" || decorator === "") {
    throw invalidOption(packageName, "decorator", "the name of a property", decorator);
  }
  if (typeof saveUninitialized !== "boolean") {
    throw invalidOption(packageName, "saveUninitialized", "a boolean", saveUninitialized);
  }
  if (typeof metadata !== "function") throw invalidOption(packageName, "metadata", "a function", metadata);
  return {
    ...resolveManager(manager, rest),
    transport: header === undefined ? resolveCookie(secret, cookie) : resolveHeader(header, secret ?? cookie),
    decorator,
    saveUninitialized,
    metadata,
  };
}

function resolveCookie(secret: ByCookie["secret"] | undefined, cookie: ByCookie["cookie"] = {}): Transport {
  if (typeof cookie !== "object" || cookie === null) throw invalidOption(packageName, "cookie", "an object", cookie);
  if ("secret" in cookie)
    throw invalidOption(packageName, "cookie", 'without "secret", which stands beside it', cookie);
  // Missing, it is refused by the cookie.
  return cookieTransport(new SessionCookie({ ...cookie, secret: secret as ByCookie["secret"] }));
}

function resolveHeader(header: string, ofCookie: unknown): Transport {
  if (typeof header !== "string" || !headerPattern.test(header) || /^(set-)?cookie$/i.test(header)) {
    throw invalidOption(packageName, "header", "the name of a header", header);
  }
  if (ofCookie !== undefined) {
    throw invalidOption(packageName, "header", 'missing where there is a "secret" or "cookie"', header);
  }
  return headerTransport(header.toLowerCase());
}

function resolveManager(
  manager: AnyManager | undefined,
  rest: object,
): Pick<ResolvedOptions, "manager" | "ownsManager"> {
  const own = Object.fromEntries(Object.entries(rest).filter(([option]) => !ofRegister.includes(option)));
  if (manager === undefined) {
    // `store` is missing from the type where a manager is given.
    return { manager: new SessionManager(own as unknown as SessionManagerOptions), ownsManager: true };
  }
  // What the sessions hold is the application's affair: here it is JSON.
  const any = manager as SessionManager;
  if (typeof any?.byId?.get !== "function") throw invalidOption(packageName, "manager", "a SessionManager", manager);
  refuseUnknownOptions(`${packageName}, beside a manager`, own, []);
  return { manager: any, ownsManager: false };
}
