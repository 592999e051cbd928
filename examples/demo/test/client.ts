/** A browser's worth of HTTP: one cookie, kept between requests. */
export class Client {
  /** The session cookie as it would be sent, or nothing. */
  cookie = "";
  readonly #userAgent: string;

  constructor(userAgent = "test client") {
    this.#userAgent = userAgent;
  }

  async send(method: string, url: string, body?: object): Promise<Response> {
    const response = await fetch(url, {
      method,
      headers: {
        "user-agent": this.#userAgent,
        ...(this.cookie && { cookie: this.cookie }),
        ...(body && { "content-type": "application/json" }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    for (const set of response.headers.getSetCookie()) this.cookie = set.slice(0, set.indexOf(";"));
    return response;
  }

  /** The JSON of an answer that must be a success. */
  async json<T>(method: string, url: string, body?: object): Promise<T> {
    const response = await this.send(method, url, body);
    if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }

  login(url: string): Promise<{ user: { id: string; name: string } }> {
    return this.json("POST", `${url}/login`, { username: "admin", password: "password" });
  }
}

/** A row of `GET /sessions`. */
export interface ListedSession {
  readonly id: string;
  readonly current: boolean;
  readonly createdAt: number;
  readonly lastActiveAt: number;
  readonly device: { readonly name: string; readonly kind: string };
  readonly ip: string;
  readonly userAgent: string;
}
