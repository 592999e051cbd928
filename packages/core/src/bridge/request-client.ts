import type { Client } from "../sessions/client.js";
import type { HttpFramework } from "./http-framework.js";

/** The client of a request. Computes its members only when `binding` or a `security` event reads them. */
export class RequestClient<Request> implements Client {
  readonly #framework: HttpFramework<Request, never>;
  readonly #request: Request;

  constructor(framework: HttpFramework<Request, never>, request: Request) {
    this.#framework = framework;
    this.#request = request;
  }

  get ip(): string | undefined {
    return this.#framework.ip(this.#request);
  }
  get userAgent(): string | undefined {
    return this.#framework.header(this.#request, "user-agent");
  }
}
