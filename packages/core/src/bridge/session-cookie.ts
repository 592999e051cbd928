import { parseCookie, stringifySetCookie } from "cookie";
import { invalidOption, refuseUnknownOptions, SessionError } from "../contract/errors.js";
import type { Session } from "../sessions/session.js";
import { isToken, tokenLength } from "../sessions/tokens.js";
import { HmacKey } from "./hmac-key.js";

export interface SessionCookieOptions {
  /**
   * Signs the token by HMAC-SHA256: text of at least 32 bytes. In a list the first secret signs and all verify: put a new one
   * first, and remove the old one when its cookies have expired. `false` sends the token without a signature. Its 256 random
   * bits allow this, but then any client can cause store reads with invented tokens. There is no default, so that a missing
   * environment variable is an error.
   */
  readonly secret: string | readonly string[] | false;
  /** Default `"__Host-session"`; `"__Secure-session"` with a `domain` or another `path`; `"session"` where `secure` is false. */
  readonly name?: string | undefined;
  /**
   * Default true: browsers send the cookie over HTTPS only. Set false in development only, for Safari, or for a host without
   * TLS other than `localhost`: Chromium and Firefox treat `http://localhost` as secure.
   */
  readonly secure?: boolean | undefined;
  /** Default `"lax"`. `"none"` sends the cookie with requests of other sites; the application then needs a defence against CSRF. */
  readonly sameSite?: "lax" | "strict" | "none" | undefined;
  /** Default `"/"`. */
  readonly path?: string | undefined;
  /** Default: only the host that sets the cookie gets it. With a domain, all its subdomains get it. */
  readonly domain?: string | undefined;
  /** Gives embedded content a separate cookie for each embedding site (CHIPS). Default false. */
  readonly partitioned?: boolean | undefined;
  /**
   * Default false: the cookie ends with the browser. True: it lives until the absolute deadline of its session, so that it is
   * sent once. Browsers end it after 400 days. A session's own `persistent` ("remember me") goes before this option.
   */
  readonly persistent?: boolean | undefined;
}

/** Attributes of a cookie, by the names that cookie functions of frameworks use. */
export interface CookieAttributes {
  readonly path: string;
  readonly domain?: string;
  readonly httpOnly: true;
  readonly secure: boolean;
  readonly sameSite: "lax" | "strict" | "none";
  readonly partitioned?: true;
  /** In seconds. */
  readonly maxAge?: number;
  readonly expires?: Date;
}

/** A cookie to send: its parts, for a framework, and the whole header. */
export interface CookieToSend {
  readonly name: string;
  readonly value: string;
  readonly attributes: CookieAttributes;
  /** The value of a `Set-Cookie` header. */
  readonly header: string;
}

/** The parts of a session that its cookie needs. `SessionManager.create` and `regenerate` return such an object. */
export interface SessionToSend {
  readonly token: string;
  readonly session: Pick<Session, "remainingMs" | "expiresAt" | "endsAt"> & Partial<Pick<Session, "persistent">>;
}

const packageName = "@sojourn/core";
/** Types of the options except the secret. */
const types = {
  name: "string",
  secure: "boolean",
  sameSite: "string",
  path: "string",
  domain: "string",
  partitioned: "boolean",
  persistent: "boolean",
} as const satisfies Record<keyof Omit<SessionCookieOptions, "secret">, string>;
const minSecretBytes = 32;
/** Browsers keep at most 4,096 bytes of name and value (RFC 6265bis, 5.6). The value has a token, a dot and a signature. */
const maxNameBytes = 4096 - 43 - 1 - 43;
/** Browsers keep a cookie at most this long (RFC 6265bis, 5.5). */
const maxAgeLimitMs = 400 * 86_400_000;

/**
 * The cookie with the session token. It is always `HttpOnly`. By default it is `Secure` and `SameSite=Lax`, for one host only,
 * under a name that browsers do not accept from other hosts.
 *
 * For bridges, and for servers on `node:http`.
 *
 * @example
 * ```ts
 * import { randomBytes } from "node:crypto";
 * import { SessionManager } from "@sojourn/core";
 * import { SessionCookie } from "@sojourn/core/bridge";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const manager = new SessionManager({ store: new MemoryStore() });
 * const cookie = new SessionCookie({ secret: process.env.SESSION_SECRET ?? randomBytes(32).toString("base64url") });
 * const { header } = cookie.issue(await manager.create({ data: {} })); // for Set-Cookie
 * const token = cookie.read(header.split(";", 1)[0]); // from Cookie
 * console.log(await manager.get(token ?? ""));
 * ```
 */
export class SessionCookie {
  readonly name: string;
  readonly #keys: readonly HmacKey[];
  readonly #attributes: CookieAttributes;
  readonly #persistent: boolean;

  /** @throws SessionError `INVALID_OPTION`, also for combinations of attributes that browsers refuse */
  constructor(options: SessionCookieOptions) {
    if (typeof options !== "object" || options === null) {
      throw invalidOption(packageName, "cookie", "an object", typeof options === "string" ? "a string" : options);
    }
    refuseUnknownOptions(packageName, options, ["secret", ...Object.keys(types)]);
    requireTypes(options);
    this.#keys = resolveSecrets(options.secret);
    this.#attributes = resolveAttributes(options);
    this.#persistent = options.persistent ?? false;
    this.name = options.name ?? defaultName(this.#attributes);
    requireName(this.name, this.#attributes);
    try {
      this.remove();
    } catch (cause) {
      // The library's message says which part is not allowed in a header: the name, the domain or the path.
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new SessionError("INVALID_OPTION", `${packageName}: cookie ${reason}`, { cause });
    }
  }

  /**
   * Returns the token in a `Cookie` header; `undefined` if it is missing, malformed or has no valid signature.
   *
   * A subdomain or another path may have added more cookies of this name. Those without a valid signature are ignored. If two
   * valid ones differ, none is used: one of them could be the session of an attacker. {@link readAll} returns both.
   */
  read(header: string | undefined): string | undefined {
    const [token, ...others] = this.readAll(header);
    return others.length === 0 ? token : undefined;
  }

  /**
   * Returns the different tokens of this name that have a valid signature. There are several after a release that has changed
   * the cookie's `path` or `domain` and not its `name`: browsers keep both cookies.
   */
  readAll(header: string | undefined): readonly string[] {
    const values = this.#values(header);
    if (values.length === 0) return none;
    const tokens = new Set(values.map((value) => this.#verify(value)));
    return [...tokens].filter((token) => token !== undefined);
  }

  /** Whether the header has a cookie of this name, valid or not. */
  isIn(header: string | undefined): boolean {
    return this.#values(header).length > 0;
  }

  /** Makes the cookie that gives a token to its client. Send it only after its session is stored. */
  issue({ token, session }: SessionToSend): CookieToSend {
    const [key] = this.#keys;
    const value = key === undefined ? token : `${token}.${key.sign(this.#signed(token))}`;
    return this.#toSend(value, (session.persistent ?? this.#persistent) ? { maxAge: maxAgeOf(session) } : {});
  }

  /** Makes the cookie that removes the token from the client. It repeats the attributes, because browsers require that. */
  remove(): CookieToSend {
    return this.#toSend("", { maxAge: 0, expires: new Date(0) });
  }

  #toSend(value: string, lifetime: Pick<CookieAttributes, "maxAge" | "expires">): CookieToSend {
    const { name } = this;
    const attributes = { ...this.#attributes, ...lifetime };
    return { name, value, attributes, header: stringifySetCookie({ name, value, ...attributes }) };
  }

  /** Parses each cookie of this name alone, because the parser keeps only one of a name. */
  #values(header: string | undefined): string[] {
    const { name } = this;
    const values: string[] = [];
    for (let at = header?.indexOf(name) ?? -1; header !== undefined && at >= 0; ) {
      const end = header.indexOf(";", at);
      const pair = header.slice(header.lastIndexOf(";", at) + 1, end < 0 ? undefined : end);
      const value = parseCookie(pair, undecoded)[name];
      if (value !== undefined) values.push(value);
      at = end < 0 ? -1 : header.indexOf(name, end);
    }
    return values;
  }

  #verify(value: string): string | undefined {
    if (this.#keys.length === 0) return isToken(value) ? value : undefined;
    const token = value.slice(0, tokenLength);
    if (value[tokenLength] !== "." || !isToken(token)) return undefined;
    const signature = value.slice(tokenLength + 1);
    return this.#keys.some((key) => key.verifies(signature, this.#signed(token))) ? token : undefined;
  }

  /** Signs the name too, so that a cookie is not valid under another name with the same secret. */
  #signed(token: string): string {
    return `${this.name}=${token}`;
  }
}

const none: readonly string[] = [];

/** Our values need no decoding. */
const undecoded = { decode: (value: string): string => value };

function maxAgeOf({ remainingMs, expiresAt, endsAt }: SessionToSend["session"]): number {
  return Math.ceil(Math.min(remainingMs + endsAt - expiresAt, maxAgeLimitMs) / 1000);
}

function requireTypes(options: SessionCookieOptions): void {
  for (const [option, type] of Object.entries(types)) {
    const value: unknown = Reflect.get(options, option);
    if (value !== undefined && typeof value !== type) throw invalidOption(packageName, option, `a ${type}`, value);
  }
}

function resolveSecrets(secret: SessionCookieOptions["secret"]): readonly HmacKey[] {
  if (secret === false) return [];
  const secrets: readonly unknown[] = Array.isArray(secret) ? secret : [secret];
  if (secrets.length > 0 && secrets.every(isSecret)) return secrets.map((text) => new HmacKey(text));
  const expectation = `a string of at least ${minSecretBytes} bytes, a list of such strings, or false`;
  throw invalidOption(packageName, "secret", expectation, describeSecret(secret));
}

/** Describes a refused secret without showing it. A number may be a real secret too. */
function describeSecret(secret: unknown): unknown {
  if (typeof secret === "string") return "a shorter string";
  return typeof secret === "number" || typeof secret === "bigint" ? `a ${typeof secret}` : secret;
}

function isSecret(value: unknown): value is string {
  return typeof value === "string" && Buffer.byteLength(value) >= minSecretBytes;
}

function resolveAttributes(options: SessionCookieOptions): CookieAttributes {
  const { secure = true, sameSite = "lax", path = "/", domain, partitioned = false } = options;
  if (!["lax", "strict", "none"].includes(sameSite)) {
    throw invalidOption(packageName, "sameSite", '"lax", "strict" or "none"', sameSite);
  }
  if (!path.startsWith("/")) throw invalidOption(packageName, "path", 'a path that begins with "/"', path);
  if (domain === "") throw invalidOption(packageName, "domain", "a host name", domain);
  if (!secure && sameSite === "none") {
    throw invalidOption(packageName, "sameSite", '"lax" or "strict" where "secure" is false', sameSite);
  }
  if (!secure && partitioned) throw invalidOption(packageName, "partitioned", 'false where "secure" is', partitioned);
  return {
    path,
    ...(domain === undefined ? {} : { domain }),
    httpOnly: true,
    secure,
    sameSite,
    ...(partitioned ? { partitioned } : {}),
  };
}

function defaultName({ secure, path, domain }: CookieAttributes): string {
  if (!secure) return "session";
  return path === "/" && domain === undefined ? "__Host-session" : "__Secure-session";
}

/** Browsers drop a cookie whose attributes do not match the prefix of its name, in upper or lower case (RFC 6265bis, 4.1.3). */
function requireName(name: string, { secure, path, domain }: CookieAttributes): void {
  const [prefix] = /^__(host|secure|http)-/i.exec(name) ?? [];
  if (prefix !== undefined && !secure) {
    throw invalidOption(packageName, "name", `without the prefix ${prefix} where "secure" is false`, name);
  }
  if (prefix?.toLowerCase() === "__host-" && (path !== "/" || domain !== undefined)) {
    const expectation = `without the prefix ${prefix} where there is a "domain" or a "path" other than "/"`;
    throw invalidOption(packageName, "name", expectation, name);
  }
  if (name.length > maxNameBytes) throw invalidOption(packageName, "name", `at most ${maxNameBytes} bytes long`, name);
}
