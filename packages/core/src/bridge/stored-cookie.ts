/** A session's cookie as a framework keeps it: a `Cookie` object, its JSON, or an object of the application. */
export interface CookieData {
  readonly expires?: Date | string | number | false | null | undefined;
  readonly maxAge?: unknown;
  readonly originalMaxAge?: unknown;
  /** The expiry that @fastify/session loaded from the store. */
  readonly originalExpires?: unknown;
}

/** A cookie in stored form: `expires` is `null` if the cookie ends with the browser, else absent: the session's deadline is it. */
export interface StoredCookie extends Omit<CookieData, "expires" | "originalExpires"> {
  readonly expires?: null;
}

/** Returns the milliseconds until a cookie expires, by the clock that dated it; `undefined` if it ends with the browser. */
export function lifetimeMs(cookie: CookieData | undefined): number | undefined {
  const { expires, maxAge } = cookie ?? {};
  // In express-session, `false` also means that there is no date.
  const isDated = expires !== null && expires !== undefined && expires !== false;
  const ms = isDated ? new Date(expires).getTime() - Date.now() : maxAge;
  return typeof ms === "number" && !Number.isNaN(ms) ? Math.ceil(ms) : undefined;
}

/** Returns the object that JSON would serialise for a cookie; `undefined` if it is no object. */
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

/** Whether a cookie equals the stored one. A value `undefined` equals an absent key, as in JSON. */
export function isSameCookie(cookie: StoredCookie, stored: StoredCookie | undefined): boolean {
  const keys = new Set([...Object.keys(cookie), ...Object.keys(stored ?? {})]) as Set<keyof StoredCookie>;
  return stored !== undefined && [...keys].every((key) => cookie[key] === stored[key]);
}

/** Removes the date, so that a touch can move it without writing the payload. */
export function toStored(cookie: CookieData): StoredCookie {
  const { expires: _, originalExpires: __, ...rest } = cookie;
  return lifetimeMs(cookie) === undefined ? { ...rest, expires: null } : rest;
}

/** Dates the cookie of a session that ends in `remainingMs`, by this process's clock as frameworks do. */
export function fromStored(cookie: StoredCookie, remainingMs: number): CookieData {
  return cookie.expires === null ? cookie : { ...cookie, expires: new Date(Date.now() + remainingMs) };
}

/** express-session reads the clock once for the date of a cookie, and again for its `originalMaxAge`. */
const maxDriftMs = 10;

/** Restores an `originalMaxAge` that shrank by clock drift, which is no change of the application. */
export function withoutDrift(cookie: StoredCookie, before: StoredCookie | undefined): StoredCookie {
  const drift = Number(before?.originalMaxAge) - Number(cookie.originalMaxAge);
  return drift > 0 && drift <= maxDriftMs ? { ...cookie, originalMaxAge: before?.originalMaxAge } : cookie;
}
