/** What frameworks keep of a session's cookie, as their `Cookie` object, as JSON, or as an application wrote it. */
export interface CookieData {
  readonly expires?: Date | string | number | false | null | undefined;
  readonly maxAge?: unknown;
  readonly originalMaxAge?: unknown;
  /** The expiry that @fastify/session found in the store. */
  readonly originalExpires?: unknown;
}

/** A cookie as stored: `expires` is absent, for the session's deadline is it, or `null` for a browser-session cookie. */
export interface StoredCookie extends Omit<CookieData, "expires" | "originalExpires"> {
  readonly expires?: null;
}

/** Milliseconds until a cookie expires, by the clock that dated it; `undefined` when it ends with the browser session. */
export function lifetimeMs(cookie: CookieData | undefined): number | undefined {
  const { expires, maxAge } = cookie ?? {};
  // By `false`, applications of express-session say that there is no date.
  const isDated = expires !== null && expires !== undefined && expires !== false;
  const ms = isDated ? new Date(expires).getTime() - Date.now() : maxAge;
  return typeof ms === "number" && !Number.isNaN(ms) ? Math.ceil(ms) : undefined;
}

/** What JSON would be given of a cookie; `undefined` where that is no object. */
export function plainCookie(cookie: unknown): CookieData | undefined {
  if (typeof cookie !== "object" || cookie === null) return undefined;
  if (!("toJSON" in cookie && typeof cookie.toJSON === "function")) return cookie;
  try {
    const plain: unknown = cookie.toJSON();
    return typeof plain === "object" && plain !== null ? plain : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a cookie is the one that is stored: `undefined`, which JSON leaves out, is as good as absent. */
export function isSameCookie(cookie: StoredCookie, stored: StoredCookie | undefined): boolean {
  const keys = new Set([...Object.keys(cookie), ...Object.keys(stored ?? {})]) as Set<keyof StoredCookie>;
  return stored !== undefined && [...keys].every((key) => cookie[key] === stored[key]);
}

/** Leaves the date out, so that a touch moves it without writing the payload. */
export function toStored(cookie: CookieData): StoredCookie {
  const { expires: _, originalExpires: __, ...rest } = cookie;
  return lifetimeMs(cookie) === undefined ? { ...rest, expires: null } : rest;
}

/** The cookie of a session that ends in `remainingMs`, dated by this process's clock as frameworks do. */
export function fromStored(cookie: StoredCookie, remainingMs: number): CookieData {
  return cookie.expires === null ? cookie : { ...cookie, expires: new Date(Date.now() + remainingMs) };
}

/** express-session dates a cookie by one look at the clock, and takes `originalMaxAge` from the next. */
const maxDriftMs = 10;

/** The cookie to store: `originalMaxAge` shrinks by a millisecond now and then, which is no change of anybody's. */
export function withoutDrift(cookie: StoredCookie, before: StoredCookie | undefined): StoredCookie {
  const drift = Number(before?.originalMaxAge) - Number(cookie.originalMaxAge);
  return drift > 0 && drift <= maxDriftMs ? { ...cookie, originalMaxAge: before?.originalMaxAge } : cookie;
}
