/** A browser: keeps its cookie from one request to the next. */
export class Browser {
  readonly #url: string;
  #isPersistent = false;
  cookie: string | undefined;

  /** @param app - the application that it talks to */
  constructor({ url }: { readonly url: string }, cookie?: string) {
    this.#url = url;
    this.cookie = cookie;
  }

  /** Drops the cookie, unless it outlives the browser. */
  restart(): void {
    if (!this.#isPersistent) this.cookie = undefined;
  }

  /** Returns the body of a response, parsed if it is JSON. */
  async get(path: string): Promise<unknown> {
    return (await this.request(path)).body;
  }

  /** Returns the body of the response to a POST, parsed if it is JSON. */
  async post(path: string): Promise<unknown> {
    return (await this.request(path, "POST")).body;
  }

  async request(path: string, method = "GET"): Promise<{ readonly status: number; readonly body: unknown }> {
    const headers: Record<string, string> = this.cookie === undefined ? {} : { cookie: this.cookie };
    const response = await fetch(`${this.#url}/${path}`, { method, headers });
    // @fastify/session removes a cookie and sets it anew in one response: the last one counts.
    const received = response.headers.getSetCookie().at(-1);
    if (received !== undefined) {
      this.cookie = received.split(";")[0];
      this.#isPersistent = /; (max-age|expires)=/i.test(received);
    }
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json");
    return { status: response.status, body: text === "" ? undefined : isJson ? JSON.parse(text) : text };
  }
}
