import type { SessionsById } from "../sessions/sessions-by-id.js";

/**
 * The sessions of late requests, in frameworks with express-session's store protocol: of requests that present an id which
 * another request has regenerated a moment ago.
 *
 * Such a request gets an empty session under the old id, and nothing of it is stored. Its cookie has no date, so that the
 * framework sends none: a new one would replace the cookie of the regeneration, and log the user out.
 */
export class LateSessions {
  readonly #byId: SessionsById;
  /** The old id of each. */
  readonly #ids = new WeakMap<object, string>();

  constructor(byId: SessionsById) {
    this.#byId = byId;
  }

  /** Returns the session of a request that found none, if the request is late. */
  async open(id: string): Promise<object | undefined> {
    if (!(await this.#byId.isMoved(id))) return undefined;
    const session = { cookie: { expires: null, originalMaxAge: null } };
    this.#ids.set(session, id);
    return session;
  }

  has(object: object | undefined): boolean {
    return object !== undefined && this.#ids.has(object);
  }

  /** Recognises the object that the framework built from a late session, too. */
  rebind(data: object, built: object): void {
    const id = this.#ids.get(data);
    if (id !== undefined) this.#ids.set(built, id);
  }

  /** Drops a save of a late session. Data that is lost by it becomes a `conflict` event. */
  drop(object: object): void {
    const id = this.#ids.get(object);
    if (id !== undefined && Object.keys(object).some((key) => key !== "cookie")) this.#byId.reportMoved(id);
  }
}
