import { tokenToId } from "@sojourn/core";

export interface LogLine {
  readonly msg: string;
  readonly requestId?: string;
  readonly sessionId?: string;
  readonly userId?: string;
  readonly route?: string;
  readonly ended?: string;
}

/** A browser's worth of HTTP: one cookie, kept between requests. */
export class Client {
  /** The session cookie as it would be sent, or nothing. */
  cookie = "";
  /** Every token that it has had. */
  readonly tokens: Set<string> = new Set();
  readonly #url: string;
  readonly #userAgent: string;

  constructor(url: string, userAgent = "test client") {
    this.#url = url;
    this.#userAgent = userAgent;
  }

  async send(method: string, path: string, body?: object): Promise<Response> {
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        "user-agent": this.#userAgent,
        ...(this.cookie && { cookie: this.cookie }),
        ...(body && { "content-type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    for (const set of response.headers.getSetCookie()) {
      const [pair = "", ...attributes] = set.split("; ");
      this.cookie = attributes.includes("Max-Age=0") || pair.endsWith("=") ? "" : pair;
      if (this.cookie !== "") this.tokens.add(this.#token);
    }
    return response;
  }

  login(password = "password"): Promise<Response> {
    return this.send("POST", "/login", { username: "admin", password });
  }

  /** The storage id of the session that the cookie is for. */
  get sessionId(): string {
    return tokenToId(this.#token);
  }

  /** A cookie is `name=token.signature`. */
  get #token(): string {
    return /=([\w-]{43})\./.exec(this.cookie)?.[1] ?? "";
  }
}
