import { type FrameworkObjects, type LoadedSession, SessionError } from "@sojourn/core/bridge";
import type { FastifyRequest } from "fastify";

/** Marks a session that `reload` could not read. Its request continues with an empty object, which must not be saved. */
interface Unread {
  readonly sid: string;
  readonly error: unknown;
}

/**
 * Recognises the sessions of @fastify/session.
 *
 * It never saves the object that the store returned: it builds a `Session` from it, with a copy of the string keys. But it
 * keeps a copy of the cookie, symbols included, as the cookie options of that session, and passes these on when `reload` and
 * `regenerate` build the next one. So the loaded session is kept there, under a symbol. This is not documented: the class is
 * tried out once, before its first session is saved.
 */
export class SessionObjects implements FrameworkObjects<FastifyRequest> {
  readonly #tag = Symbol("sojourn.loaded");
  readonly #known = new WeakMap<object, LoadedSession>();
  readonly #tried = new WeakMap<object, boolean>();

  get(object: object): LoadedSession | undefined {
    const tag = this.#known.get(object) ?? this.#tagOf(object);
    return tag !== undefined && "session" in tag ? tag : undefined;
  }

  /** Also marks the session that a later `reload` builds from this one. */
  set(object: object, loaded: LoadedSession): void {
    this.#known.set(object, loaded);
    const slot = isApplications(object) ? Reflect.get(object, "cookie") : symbolValue(object, "cookieOpts");
    if (isObject(slot)) Reflect.set(slot, this.#tag, loaded);
  }

  requestOfNew(object: object): FastifyRequest | undefined {
    // A class that has passed the trial keeps the request there.
    return isApplications(object) ? undefined : (symbolValue(object, "request") as FastifyRequest);
  }

  /** @fastify/session saves only its own `Session` objects. A plain object comes from a `store.set` of the application. */
  isApplicationsOwn(object: object): boolean {
    return isApplications(object);
  }

  /** Returns the result for `reload` beside an error: it builds a session from it, under the same id. */
  unread(sid: string, error: unknown): { cookie: object } {
    const unread: Unread = { sid, error };
    return { cookie: { [this.#tag]: unread } };
  }

  /** Returns the mark of a session that was not read. */
  unreadOf(sid: string, object: object): Unread | undefined {
    const tag = this.#known.has(object) ? undefined : this.#tagOf(object);
    return tag !== undefined && "sid" in tag && tag.sid === sid ? tag : undefined;
  }

  /**
   * Checks that the class of a session carries the loaded one. Otherwise an ended session would look like a new one, and would
   * be created again.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  requireCarrier(object: object): void {
    if (isApplications(object)) return;
    const { constructor: Session } = object;
    let carries = this.#tried.get(Session);
    if (carries === undefined) {
      carries = this.#carries(Session);
      this.#tried.set(Session, carries);
    }
    if (carries) return;
    const message =
      "@sojourn/fastify: the installed @fastify/session does not connect a saved session to its load, so a save could undo a " +
      "logout. Nothing is saved. Use @fastify/session 11.1.3, or the plugin of this package";
    throw new SessionError("NOT_SUPPORTED", message);
  }

  /** Builds a session, and the sessions of its reload and regenerate, and looks for the mark on each. */
  #carries(Session: unknown): boolean {
    const sid = "trial";
    const [unread, later] = [{ sid, error: undefined }, this.unread(sid, undefined)];
    const request = { protocol: "http" };
    const make = (cookie: unknown, data?: object): object => {
      // Throws if it is no constructor.
      return Reflect.construct(Session as new () => object, [{}, request, () => sid, cookie, signer, data, sid]);
    };
    try {
      const loaded = make({}, { cookie: { expires: new Date(), [this.#tag]: unread } });
      const reloaded = make(symbolValue(loaded, "cookieOpts"), later);
      const fresh = make(symbolValue(loaded, "cookieOpts"));
      const tags = [loaded, fresh, reloaded].map((session) => this.#tagOf(session));
      const expected = [unread, unread, Reflect.get(later.cookie, this.#tag)];
      return tags.every((tag, index) => tag === expected[index]) && symbolValue(loaded, "request") === request;
    } catch {
      return false;
    }
  }

  #tagOf(object: object): LoadedSession | Unread | undefined {
    const slot = isApplications(object) ? Reflect.get(object, "cookie") : symbolValue(object, "cookieOpts");
    // Only this class has the symbol.
    return isObject(slot) ? (Reflect.get(slot, this.#tag) as LoadedSession | Unread | undefined) : undefined;
  }
}

const signer = { sign: String };

/** Whether an object is a plain one of the application, and no `Session` of @fastify/session. */
function isApplications(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null;
}

/** Returns the value that a `Session` keeps under its symbol with this description. */
function symbolValue(object: object, description: string): unknown {
  const symbol = Object.getOwnPropertySymbols(object).find((own) => own.description === description);
  return symbol && Reflect.get(object, symbol);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
