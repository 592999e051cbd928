import type { HttpFramework } from "@sojourn/core/bridge";
import { type CookieJar, cookieHeaderOf, setCookie } from "./cookie-jar.js";

export const packageName = "@sojourn/web";

/** The part of a Fetch `Request` that sessions need. */
export interface WebRequest {
  readonly headers: { get(name: string): string | null };
}

/** A session comes with a request, or with a cookie jar. */
export type Source = WebRequest | CookieJar;

export function isJar(source: Source): source is CookieJar {
  return "getAll" in source;
}

/** Takes the headers that the session of one request sets. */
export interface Head {
  /** Whether the response is out, so that no header can be added. */
  isSent: boolean;
  set(name: string, value: string): void;
  get(name: string): string | undefined;
}

/**
 * The headers for the response of a request. It keeps them until there is a response that is sent: when a save fails, that
 * is the response to the error.
 */
export class ResponseHead implements Head {
  isSent = false;
  #response: Response | undefined;
  readonly #added: (readonly [name: string, value: string])[] = [];

  /** Takes note of the response that is to be sent. */
  expect(response: Response): void {
    this.#response = response;
  }

  set(name: string, value: string): void {
    this.#added.push([name, value]);
  }

  get(name: string): string | undefined {
    return this.#response?.headers.get(name) ?? undefined;
  }

  /** Returns the response with the headers: itself, or a copy if it is immutable. */
  send(response: Response): Response {
    this.isSent = true;
    const added = this.#added.splice(0);
    if (added.length === 0) return response;
    try {
      addHeaders(response, added);
      return response;
    } catch (error) {
      // The headers of redirects and of fetched responses are immutable.
      if (!(error instanceof TypeError)) throw error;
    }
    const copy = new Response(response.body, response);
    addHeaders(copy, added);
    return copy;
  }
}

function addHeaders({ headers }: Response, added: readonly (readonly [name: string, value: string])[]): void {
  for (const [name, value] of added) {
    // Other cookies of this response stay.
    if (name === "set-cookie") headers.append(name, value);
    else headers.set(name, value);
  }
}

/** The head of a response whose cookies are in a jar. The framework that made the jar decides about caches. */
export class JarHead implements Head {
  isSent = false;
  readonly #jar: CookieJar;

  constructor(jar: CookieJar) {
    this.#jar = jar;
  }

  set(name: string, value: string): void {
    if (name === "set-cookie") setCookie(this.#jar, value);
  }

  get(): undefined {}
}

export const framework: Omit<HttpFramework<Source, Head>, "ip"> = {
  packageName,
  ownOptions: ["ip"],
  header(source, name) {
    if (!isJar(source)) return source.headers.get(name) ?? undefined;
    return name === "cookie" ? cookieHeaderOf(source) : undefined;
  },
  setHeader: (head, name, value) => head.set(name, value),
  responseHeader: (head, name) => head.get(name),
  isHeadSent: (head) => head.isSent,
};
