import type { SessionManager } from "../sessions/manager.js";
import { toHttpError } from "./http-errors.js";
import type { HttpFramework } from "./http-framework.js";
import {
  type HttpSessionsOptions,
  type ResolvedHttpSessionsOptions,
  resolveHttpSessionsOptions,
} from "./http-sessions-options.js";
import { RequestClient } from "./request-client.js";
import { RequestSession } from "./request-session.js";

/**
 * The sessions of HTTP requests, for bridges to frameworks: finds the token of a request and loads its session.
 *
 * A bridge opens the session of a request, hands it to the application, and calls {@link RequestSession.finish} before the
 * head of the response is sent. {@link LazySession} does this for sessions that are loaded when first asked for.
 */
export class HttpSessions<Request, Response> {
  readonly #options: ResolvedHttpSessionsOptions<Request, Response>;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(framework: HttpFramework<Request, Response>, options: HttpSessionsOptions<Request>) {
    this.#options = resolveHttpSessionsOptions(framework, options);
  }

  get manager(): SessionManager {
    return this.#options.manager;
  }

  /** Returns the text that the client presents as its token. Without one, `openNew` opens the session without waiting. */
  tokenOf(request: Request): string | undefined {
    return this.#options.transport.read(request);
  }

  /**
   * Loads the session of a request; a new one if the token finds none.
   *
   * @throws SessionError with a `statusCode`: {@link toHttpError}
   */
  async open(
    request: Request,
    token: string | undefined = this.tokenOf(request),
  ): Promise<RequestSession<object, Request, Response>> {
    if (token === undefined) return this.openNew(request);
    const { framework, manager } = this.#options;
    try {
      const session = await manager.get(token, { client: new RequestClient(framework, request) });
      return new RequestSession(this.#options, request, token, session);
    } catch (error) {
      throw toHttpError(error);
    }
  }

  /** Opens a new session. It is stored when the request has put data into it. */
  openNew(request: Request): RequestSession<object, Request, Response> {
    return new RequestSession(this.#options, request, undefined, undefined);
  }

  /** Closes the manager that was made for a `store`. A `manager` of the application stays open. */
  async close(): Promise<void> {
    if (this.#options.ownsManager) await this.#options.manager.close();
  }
}
