import { type FrameworkObjects, type LoadedSession, SessionError } from "@sojourn/core/bridge";
import type { FastifyRequest } from "fastify";

/** A session that `reload` could not read: the empty object that its request goes on with is not what is stored. */
interface Unread {
  readonly sid: string;
  readonly error: unknown;
}

/**
 * Knows the sessions of @fastify/session again.
 *
 * It never hands back the object that it was given: it makes a `Session` of it, and copies text keys only. But it keeps a
 * copy of the cookie as that session's cookie options, symbols included, and passes it on to what `reload` and
 * `regenerate` make of the session. So what was loaded travels there, under a symbol. None of this is documented: the
 * class is tried out once, before its first session is saved.
 */
export class SessionObjects implements FrameworkObjects<FastifyRequest> {
  readonly #tag = Symbol("sojourn.loaded");
  readonly #known = new WeakMap<object, LoadedSession>();
  readonly #tried = new WeakMap<object, boolean>();

  get(object: object): LoadedSession | undefined {
    const tag = this.#known.get(object) ?? this.#tagOf(object);
    return tag !== undefined && "session" in tag ? tag : undefined;
  }

  /** What `reload` makes of this session later must be known too. */
  set(object: object, loaded: LoadedSession): void {
    this.#known.set(object, loaded);
    const slot = isApplications(object) ? Reflect.get(object, "cookie") : symbolValue(object, "cookieOpts");
    if (isObject(slot)) Reflect.set(slot, this.#tag, loaded);
  }

  requestOfNew(object: object): FastifyRequest | undefined {
    // A class that has passed the trial has it there.
    return isApplications(object) ? undefined : (symbolValue(object, "request") as FastifyRequest);
  }

  /** @fastify/session saves only its own `Session` objects. A plain object comes from a `store.set` of the application. */
  isApplicationsOwn(object: object): boolean {
    return isApplications(object);
  }

  /** What to answer to `reload` beside an error: it makes a session of that all the same, under the same id. */
  unread(sid: string, error: unknown): { cookie: object } {
    const unread: Unread = { sid, error };
    return { cookie: { [this.#tag]: unread } };
  }

  /** Why a session was not read, if it was not. */
  unreadOf(sid: string, object: object): Unread | undefined {
    const tag = this.#known.has(object) ? undefined : this.#tagOf(object);
    return tag !== undefined && "sid" in tag && tag.sid === sid ? tag : undefined;
  }

  /**
   * Makes sure that the class of a session carries what was loaded. Without that a session that has ended could not be told
   * from a new one, and would be created again.
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
      "@sojourn/fastify: the installed @fastify/session does not carry what it has loaded to what it saves, so that no save " +
      "could be told from a logout undone. Nothing is saved. Use @fastify/session 11.1.3, or the plugin of this package";
    throw new SessionError("NOT_SUPPORTED", message);
  }

  /** Loads a session, and reloads and regenerates it, without a store. */
  #carries(Session: unknown): boolean {
    const sid = "trial";
    const [unread, later] = [{ sid, error: undefined }, this.unread(sid, undefined)];
    const request = { protocol: "http" };
    const make = (cookie: unknown, data?: object): object => {
      // It may be no constructor, and throw.
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
    // Nobody else has the symbol.
    return isObject(slot) ? (Reflect.get(slot, this.#tag) as LoadedSession | Unread | undefined) : undefined;
  }
}

const signer = { sign: String };

/** Whether an object is an application's own, and no `Session` of @fastify/session. */
function isApplications(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype === Object.prototype || prototype === null;
}

/** What a `Session` keeps under a symbol of its own with this description. */
function symbolValue(object: object, description: string): unknown {
  const symbol = Object.getOwnPropertySymbols(object).find((own) => own.description === description);
  return symbol && Reflect.get(object, symbol);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
