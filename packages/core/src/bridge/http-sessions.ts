import type { Client } from "../sessions/client.js";
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

/** The largest number of tokens of one request that are looked up. */
const maxTokens = 4;

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

  /** Returns the texts that the client presents as its token. Without one, `openNew` opens the session without waiting. */
  tokensOf(request: Request): readonly string[] {
    return this.#options.transport.read(request);
  }

  /**
   * Loads the session of a request; a new one if the token finds none.
   *
   * Of several tokens the one that finds a session is used. If several do, none is used: one of them could be the session of
   * an attacker.
   *
   * @throws SessionError with a `statusCode`: {@link toHttpError}
   */
  async open(
    request: Request,
    tokens: readonly string[] = this.tokensOf(request),
  ): Promise<RequestSession<object, Request, Response>> {
    const [token, ...others] = tokens;
    if (token === undefined) return this.openNew(request);
    const { framework, manager } = this.#options;
    const client = new RequestClient(framework, request);
    try {
      if (others.length > 0) return await this.#openOneOf(request, tokens, client);
      return new RequestSession(this.#options, request, token, await manager.get(token, { client }));
    } catch (error) {
      throw toHttpError(error);
    }
  }

  async #openOneOf(
    request: Request,
    tokens: readonly string[],
    client: Client,
  ): Promise<RequestSession<object, Request, Response>> {
    const { manager } = this.#options;
    manager.reportSeveralTokens({ client });
    // A client can send any number of cookies, but only with tokens that it has been given.
    const few = tokens.slice(0, maxTokens);
    const all = await Promise.all(few.map(async (token) => ({ token, session: await manager.get(token, { client }) })));
    const found = all.filter(({ session }) => session !== undefined);
    const [one] = found;
    if (one !== undefined && found.length === 1) {
      return new RequestSession(this.#options, request, one.token, one.session);
    }
    return new RequestSession(this.#options, request, found.length === 0 ? tokens[0] : undefined, undefined);
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
