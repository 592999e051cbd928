import { parseSetCookie, stringifyCookie } from "cookie";

/** The attributes of a cookie, by the names that Next.js and SvelteKit use. */
export interface CookieJarAttributes {
  readonly path: string;
  readonly domain?: string;
  readonly httpOnly?: boolean;
  readonly secure?: boolean;
  readonly sameSite?: "lax" | "strict" | "none";
  readonly partitioned?: boolean;
  /** In seconds. */
  readonly maxAge?: number;
  readonly expires?: Date;
}

/** The cookies of a request and of its response in one object, such as `await cookies()` of Next.js. */
export interface CookieJar {
  getAll(): readonly { readonly name: string; readonly value: string }[];
  set(name: string, value: string, attributes: CookieJarAttributes): unknown;
}

/** Returns the cookies of a jar as the `cookie` header that they came in. */
export function cookieHeaderOf(jar: CookieJar): string {
  return stringifyCookie(Object.fromEntries(jar.getAll().map(({ name, value }) => [name, value])));
}

/** Puts a cookie into a jar. @param header - the value of a `set-cookie` header */
export function setCookie(jar: CookieJar, header: string): void {
  const { name, value = "", path = "/", ...attributes } = parseSetCookie(header);
  // The session cookie has no attribute beside these.
  jar.set(name, value, { ...attributes, path } as CookieJarAttributes);
}
