import { parseCookie, stringifySetCookie } from "cookie";
import { invalidOption, refuseUnknownOptions, SessionError } from "../contract/errors.js";
import type { Session } from "../sessions/session.js";
import { isToken, tokenLength } from "../sessions/tokens.js";
import { HmacKey } from "./hmac-key.js";

export interface SessionCookieOptions {
  /**
   * Signs the token by HMAC-SHA256, at least 32 bytes of text. Of several the first signs and all verify: put a new one first, and
   * remove the old one when its cookies have run out. `false` sends the token as it is, which its 256 random bits allow:
   * then anybody can have made-up tokens looked up in the store. There is no default, so that a missing environment variable is an error.
   */
  readonly secret: string | readonly string[] | false;
  /** Default `"__Host-session"`; `"__Secure-session"` with a `domain` or another `path`; `"session"` where `secure` is false. */
  readonly name?: string | undefined;
  /**
   * Default true: browsers send the cookie over HTTPS only. Chromium and Firefox count `http://localhost` as secure; Safari does
   * not, and neither does any other name that is served without TLS in development: false, there alone.
   */
  readonly secure?: boolean | undefined;
  /** Default `"lax"`. `"none"` sends the cookie with requests of other sites, which then need a defence against CSRF. */
  readonly sameSite?: "lax" | "strict" | "none" | undefined;
  /** Default `"/"`. */
  readonly path?: string | undefined;
  /** Default: the host that sets the cookie, and no other. With it all subdomains get the cookie. */
  readonly domain?: string | undefined;
  /** Keeps a cookie of embedded content apart for each site that embeds it (CHIPS). Default false. */
  readonly partitioned?: boolean | undefined;
  /**
   * Default false: the cookie ends with the browser. True: it lives as long as its session can at most, whatever the idle
   * timeout does in between, so that it never needs to be sent again; browsers end it after 400 days.
   */
  readonly persistent?: boolean | undefined;
}

/** The attributes of a cookie, by the names that the frameworks' own functions take. */
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

/** A cookie to be sent: in parts for a framework, and as a whole. */
export interface CookieToSend {
  readonly name: string;
  readonly value: string;
  readonly attributes: CookieAttributes;
  /** The value of a `Set-Cookie` header. */
  readonly header: string;
}

/** What a cookie tells of a session: what `SessionManager.create` and `regenerate` return has it. */
export interface SessionToSend {
  readonly token: string;
  readonly session: Pick<Session, "remainingMs" | "expiresAt" | "endsAt">;
}

const packageName = "@sojourn/core";
/** Of every option but the secret. */
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
/** Browsers keep 4,096 bytes of name and value together (RFC 6265bis, 5.6): what a token, a dot and a signature leave of them. */
const maxNameBytes = 4096 - 43 - 1 - 43;
/** The longest that browsers keep a cookie (RFC 6265bis, 5.5). */
const maxAgeLimitMs = 400 * 86_400_000;

/**
 * The cookie in which a browser holds its session token: always `HttpOnly`, and unless told otherwise `Secure`, `SameSite=Lax`,
 * for one host alone, under a name that browsers let nobody else set.
 *
 * For whatever sets its own cookie: a bridge, or `node:http`.
 */
export class SessionCookie {
  readonly name: string;
  readonly #keys: readonly HmacKey[];
  readonly #attributes: CookieAttributes;
  readonly #persistent: boolean;

  /** @throws SessionError `INVALID_OPTION`, also for combinations that browsers refuse and for `SameSite=None` without `Secure` */
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
      // The library names what cannot stand in a header: the name, the domain or the path.
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new SessionError("INVALID_OPTION", `${packageName}: cookie ${reason}`, { cause });
    }
  }

  /**
   * The token in a `Cookie` header; `undefined` for one that is missing, malformed, or not signed by us.
   *
   * Of several cookies with this name, which a subdomain or another path may have added, those that do not verify are left out.
   * Where two that verify differ nobody can say which is the user's, and neither is taken: the other could be an attacker's
   * own session.
   */
  read(header: string | undefined): string | undefined {
    const values = this.#values(header);
    const [first] = values;
    if (values.length < 2) return first === undefined ? undefined : this.#verify(first);
    const tokens = new Set(values.map((value) => this.#verify(value)));
    tokens.delete(undefined);
    const [token] = tokens;
    return tokens.size === 1 ? token : undefined;
  }

  /** Whether there is a cookie of this name, whatever it is worth: to tell a forged one from none. */
  isIn(header: string | undefined): boolean {
    return this.#values(header).length > 0;
  }

  /** The cookie that hands a token to its client. Send it only when its session has been stored. */
  issue({ token, session }: SessionToSend): CookieToSend {
    const [key] = this.#keys;
    const value = key === undefined ? token : `${token}.${key.sign(this.#signed(token))}`;
    return this.#toSend(value, this.#persistent ? { maxAge: maxAgeOf(session) } : {});
  }

  /** The cookie that makes the client forget its token. Browsers heed it only with the attributes of the one it replaces. */
  remove(): CookieToSend {
    return this.#toSend("", { maxAge: 0, expires: new Date(0) });
  }

  #toSend(value: string, lifetime: Pick<CookieAttributes, "maxAge" | "expires">): CookieToSend {
    const { name } = this;
    const attributes = { ...this.#attributes, ...lifetime };
    return { name, value, attributes, header: stringifySetCookie({ name, value, ...attributes }) };
  }

  /** The parser keeps one cookie of each name: it gets them one by one. */
  #values(header: string | undefined): string[] {
    const { name } = this;
    const values: string[] = [];
    for (let at = header?.indexOf(name) ?? -1; header !== undefined && at >= 0; ) {
      const end = header.indexOf(";", at);
      const pair = header.slice(header.lastIndexOf(";", at) + 1, end < 0 ? undefined : end);
      const value = parseCookie(pair, asItIs)[name];
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

  /** The name is signed with it: a cookie does not pass for one of another name with the same secret. */
  #signed(token: string): string {
    return `${this.name}=${token}`;
  }
}

/** What we send never needs decoding. */
const asItIs = { decode: (value: string): string => value };

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
  throw invalidOption(packageName, "secret", expectation, receivedSecret(secret));
}

/** What stands in the place of a secret may be one, as a number is. */
function receivedSecret(secret: unknown): unknown {
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

/** Browsers drop a cookie whose name promises what its attributes do not keep (RFC 6265bis, 4.1.3), in whatever case it is spelt. */
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
