import type { HttpSessions } from "./http-sessions.js";
import type { RequestSession } from "./request-session.js";
import { refuseUnawaited } from "./unawaited-session.js";

/** The session of one request, loaded when it is first asked for. */
export class LazySession<Request, Response> {
  readonly #sessions: HttpSessions<Request, Response>;
  readonly #request: Request;
  #opening: Promise<RequestSession<object, Request, Response>> | undefined;
  #loaded: RequestSession<object, Request, Response> | undefined;

  constructor(sessions: HttpSessions<Request, Response>, request: Request) {
    this.#sessions = sessions;
    this.#request = request;
  }

  /** Loads the session, once. Use of the promise as a session throws: {@link refuseUnawaited}. */
  open(): Promise<RequestSession<object, Request, Response>> {
    if (this.#opening === undefined) {
      const session = this.openNow();
      this.#opening ??= refuseUnawaited(Promise.resolve(session));
    }
    return this.#opening;
  }

  /** As {@link open}, but returns the session itself if there is nothing to wait for, such as for a request without a token. */
  openNow(): RequestSession<object, Request, Response> | Promise<RequestSession<object, Request, Response>> {
    if (this.#loaded !== undefined) return this.#loaded;
    if (this.#opening !== undefined) return this.#opening;
    const tokens = this.#sessions.tokensOf(this.#request);
    if (tokens.length === 0) {
      this.#loaded = this.#sessions.openNew(this.#request);
      return this.#loaded;
    }
    this.#opening = refuseUnawaited(this.#sessions.open(this.#request, tokens));
    // Runs before the caller continues. The caller handles errors; a request that does not await has nothing to save.
    this.#opening.then((session) => {
      this.#loaded = session;
    }, ignore);
    return this.#opening;
  }

  /** Whether the session is loaded or being loaded. */
  protected get isOpened(): boolean {
    return (this.#loaded ?? this.#opening) !== undefined;
  }

  /** The session if it has been loaded. */
  get loaded(): RequestSession<object, Request, Response> | undefined {
    return this.#loaded;
  }

  /** The storage id of the loaded session. Log lines read `id` and `userId`, which loads nothing. */
  get id(): string | undefined {
    return this.#loaded?.id;
  }
  get userId(): string | undefined {
    return this.#loaded?.userId;
  }

  /** {@link RequestSession.finish} of the session if it has been loaded. */
  finish(response: Response): Promise<void> | undefined {
    return this.#loaded?.finish(response);
  }
}

function ignore(): void {}
