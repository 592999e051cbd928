import { KeyedQueue } from "../adapter/keyed-queue.js";
import { SessionError } from "../contract/errors.js";
import { isId } from "../contract/validate.js";
import type { SaveOptions, Session } from "../sessions/session.js";
import type { SessionsById } from "../sessions/sessions-by-id.js";
import { tokenToId } from "../sessions/tokens.js";
import { jsonCopy } from "./json-copy.js";
import type { ResolvedStoreBridgeOptions } from "./store-bridge-options.js";
import {
  fromStored,
  isSameCookie,
  lifetimeMs,
  plainCookie,
  type StoredCookie,
  toStored,
  withoutDrift,
} from "./stored-cookie.js";

/** A session's data as JSON, with its cookie as stored. */
export interface StoredData {
  [key: string]: unknown;
  cookie?: StoredCookie;
}

/** What is known of an object that came from the store. */
export interface LoadedSession {
  /** The id that it was asked for by; a session that has been regenerated has another one. */
  readonly id: string;
  readonly session: Session;
  /** What the object held when it was last in step with the store: what has changed since is told by this. */
  seen: StoredData;
}

/** How a bridge knows its framework's objects again. */
export interface FrameworkObjects<Request> {
  /** What was noted of an object, or of the one that the framework made it from. */
  get(object: object): LoadedSession | undefined;
  set(object: object, loaded: LoadedSession): void;
  /** The request that the framework made an object for; `undefined` for an application's own object. */
  requestOf(object: object): Request | undefined;
}

/** What an application said of its sessions, whatever the manager's other users take their data for. */
export interface CookieSessionsOptions<Request, Framework extends object>
  extends Omit<ResolvedStoreBridgeOptions<Request, Framework>, "manager"> {
  readonly manager: { readonly byId: unknown };
}

/** Each failed attempt means that a session ended just then. A store that says so for ever is broken. */
const maxAttempts = 100;

/** A difference in lifetime that is the clock's, and nobody's wish. */
const toleranceMs = 100;

/**
 * The sessions of a manager, in the shape in which express-session, and the frameworks that took over its store protocol,
 * hold them: one object with the data and a `cookie`, read whole and handed back whole, under a session id that the
 * framework made. For bridges to such frameworks.
 *
 * Session ids are stored as their hash. One that is none is a miss that reaches no store.
 *
 * @typeParam Request - the framework's request
 * @typeParam Framework - what the framework's types say that a session holds
 */
export class CookieSessions<Request, Framework extends object> {
  readonly #packageName: string;
  readonly #byId: SessionsById;
  readonly #userId: (data: StoredData) => string | undefined;
  readonly #metadata: ResolvedStoreBridgeOptions<Request, Framework>["metadata"];
  readonly #objects: FrameworkObjects<Request>;
  /** Writes of one session in the order of the calls, as in `save()` without waiting and then `destroy()`. */
  readonly #inOrder = new KeyedQueue();

  /** @param packageName - the bridge's, for messages */
  constructor(
    packageName: string,
    options: CookieSessionsOptions<Request, Framework>,
    objects: FrameworkObjects<Request>,
  ) {
    this.#packageName = packageName;
    const { manager, userId, metadata } = options;
    // What the sessions hold is the framework's and the application's affair: here it is JSON.
    this.#byId = manager.byId as SessionsById;
    // The application's types say what its sessions hold.
    this.#userId = (data) => userId(data as Partial<Framework>) ?? undefined;
    this.#metadata = metadata;
    this.#objects = objects;
  }

  /** Reads a session, which is no activity. @returns `undefined` when it is missing or has expired */
  async get(sid: string): Promise<Framework | undefined> {
    if (!isSid(sid)) return undefined;
    const id = tokenToId(sid);
    const session = await this.#byId.get(id, { touch: false });
    return session && this.#toFramework(id, session);
  }

  async all(): Promise<Framework[]> {
    const all: Framework[] = [];
    for await (const session of this.#byId.scan()) all.push(this.#toFramework(session.id, session));
    return all;
  }

  /**
   * Goes on with `built`, the object that the framework made of `data`. What it does not show of the data, because
   * properties of its own have these names, a request cannot have deleted.
   */
  rebind(data: object, built: object): void {
    const loaded = this.#objects.get(data);
    if (loaded === undefined) return;
    const isVisible = (key: string): boolean => Object.prototype.propertyIsEnumerable.call(built, key);
    const { seen } = loaded;
    const isWhole = Object.keys(seen).every(isVisible);
    const visible = isWhole ? seen : Object.fromEntries(Object.entries(seen).filter(([key]) => isVisible(key)));
    this.#objects.set(built, { ...loaded, seen: visible });
  }

  /**
   * Saves a session, as it is at the time of the call.
   *
   * One that was loaded is merged into what is stored, touched when it holds nothing new, and dropped when it has ended.
   * One that the framework made is created. Any other object, which is the application's own, is created or replaces what
   * is stored. One whose cookie has expired is destroyed.
   *
   * @throws SessionError `INVALID_ARGUMENT` for a session id that is none, `ENCODE`, `CONFLICT`, and those of the manager
   */
  async save(sid: string, object: object): Promise<void> {
    const id = this.sidToId(sid);
    const data = this.#snapshot(object);
    const lifetime = this.#lifetimeMs(object);
    await this.#inOrder.run(id, async () => {
      const loaded = this.#find(id, object);
      const idleMs = renewed(lifetime, data.cookie, loaded);
      if (idleMs <= 0) await this.#byId.destroy(id);
      else if (loaded !== undefined) await this.#write(loaded, data, idleMs);
      else await this.#createOrWrite(id, object, data, idleMs);
    });
  }

  /**
   * Moves the deadline, where the manager's `touchAfter` says that this is due. Writes nothing of the data but a cookie that
   * has changed. Never creates.
   *
   * @returns `undefined` where nothing is to be written: a framework need not wait for it
   */
  touch(sid: string, object: object | undefined): Promise<void> | undefined {
    return isSid(sid) && this.#isTouchDue(tokenToId(sid), object) ? this.#touch(sid, object) : undefined;
  }

  /** Where in doubt, it is. */
  #isTouchDue(id: string, object: object | undefined): boolean {
    const loaded = this.#find(id, object);
    const cookie = isObject(object) ? plainCookie(object.cookie) : undefined;
    if (loaded === undefined || cookie === undefined || this.#inOrder.has(id)) return true;
    const { session, seen } = loaded;
    const stored = withoutDrift(toStored(cookie), seen.cookie);
    if (!isSameCookie(stored, seen.cookie)) return true;
    const idleMs = renewed(this.#lifetimeMs(object), stored, loaded);
    return idleMs <= 0 || session.isTouchDue({ idleMs, shorten: shortens(session, idleMs) });
  }

  async #touch(sid: string, object: object | undefined): Promise<void> {
    const id = tokenToId(sid);
    const { cookie } = this.#snapshot(isObject(object) ? { cookie: object.cookie } : {});
    const lifetime = this.#lifetimeMs(object);
    await this.#inOrder.run(id, async () => {
      const found = this.#find(id, object);
      const idleMs = renewed(lifetime, cookie, found);
      if (idleMs <= 0) return void (await this.#byId.destroy(id));
      const loaded = found ?? (await this.#load(id));
      if (loaded === undefined) return;
      const { seen } = loaded;
      await this.#write(loaded, cookie === undefined ? seen : { ...seen, cookie }, idleMs);
    });
  }

  async destroy(sid: string): Promise<void> {
    if (!isSid(sid)) return;
    const id = tokenToId(sid);
    await this.#inOrder.run(id, () => this.#byId.destroy(id));
  }

  /** The storage id of a session id. @throws SessionError `INVALID_ARGUMENT` when it is none */
  sidToId(sid: string): string {
    if (isSid(sid)) return tokenToId(sid);
    throw new SessionError(
      "INVALID_ARGUMENT",
      `${this.#packageName}: a session id must be a string of 1 to 512 bytes of well-formed UTF-8 without control characters`,
    );
  }

  /** A copy of a session's data that the caller may change and hand back. */
  #toFramework(id: string, session: Session): Framework {
    // Bridges have no data of another shape.
    const object = jsonCopy(session.data as StoredData);
    if (isObject(object.cookie)) object.cookie = fromStored(object.cookie, session.remainingMs) as StoredCookie;
    this.#objects.set(object, { id, session, seen: session.data });
    // The application's types say what its sessions hold.
    return object as unknown as Framework;
  }

  /** Writes what has changed in an object since it was in step with the store. Of a session that has ended, nothing. */
  async #write(loaded: LoadedSession, data: StoredData, idleMs: number): Promise<void> {
    const { session, seen } = loaded;
    const cookie = data.cookie && withoutDrift(data.cookie, seen.cookie);
    const steady = cookie === undefined ? data : { ...data, cookie };
    const userId = this.#userId(steady);
    const change = userId === this.#userId(seen) ? {} : { userId: userId ?? null };
    const shorten = shortens(session, idleMs);
    const status = await session.save(steady, { base: seen, idleMs, shorten, ...change });
    if (status === "saved" || status === "unchanged") loaded.seen = steady;
  }

  /** Stores an object that did not come from the store. */
  async #createOrWrite(id: string, object: object, data: StoredData, idleMs: number): Promise<void> {
    const request = this.#objects.requestOf(object);
    const userId = this.#userId(data);
    const metadata = request && this.#metadata(request);
    // Of the framework's own two requests made one id, and both keep what they set. What an application sets by itself is
    // all there is.
    const options: SaveOptions = request ? { base: {}, userId } : { onConflict: "overwrite", userId: userId ?? null };
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const created = await this.#byId.create(id, { data, userId, metadata, idleTimeout: idleMs });
      if (created !== undefined && data.cookie !== undefined && !("cookie" in created.data)) {
        // A framework cannot go on with a session that has none.
        await this.#byId.destroy(id);
        throw new SessionError("INVALID_OPTION", `${this.#packageName}: the schema must keep the key "cookie"`);
      }
      const session = created ?? (await this.#byId.get(id, { touch: false, onUnreadable: "fail" }));
      const status = created ? "saved" : await session?.save(data, { ...options, idleMs });
      // Otherwise the session that had the id has ended in between, and the id is free again.
      if (session !== undefined && (status === "saved" || status === "unchanged")) {
        // The application's own object stays its own: setting it once more is meant as the first time.
        if (request !== undefined) this.#objects.set(object, { id, session, seen: data });
        return;
      }
    }
    const message = `${this.#packageName}: session ${id} can be neither created nor written`;
    throw new SessionError("CONFLICT", message);
  }

  #find(id: string, object: object | undefined): LoadedSession | undefined {
    const loaded = object && this.#objects.get(object);
    return loaded?.id === id ? loaded : undefined;
  }

  async #load(id: string): Promise<LoadedSession | undefined> {
    const session = await this.#byId.get(id, { touch: false });
    return session && { id, session, seen: session.data };
  }

  #lifetimeMs(object: object | undefined): number {
    const cookie = isObject(object) && isObject(object.cookie) ? object.cookie : undefined;
    return Math.min(lifetimeMs(cookie) ?? this.#byId.idleMs, this.#byId.absoluteMs);
  }

  /** The data of a session at this moment, as JSON: the request may go on changing the object while it is being saved. */
  #snapshot(object: object): StoredData {
    const data = this.#toJson(object);
    if (!isObject(data)) throw new SessionError("ENCODE", `${this.#packageName}: a session must be an object`);
    const { cookie, ...rest } = data;
    // A cookie that is not an object is not one that the framework made: it is none.
    return isObject(cookie) ? { ...data, cookie: toStored(cookie) } : rest;
  }

  #toJson(value: unknown): unknown {
    try {
      return JSON.parse(JSON.stringify(value) ?? "null");
    } catch (cause) {
      // The first line names what is in the way, and no value.
      const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : "it is not JSON";
      throw new SessionError("ENCODE", `${this.#packageName}: session data cannot be encoded: ${reason}`, { cause });
    }
  }
}

/**
 * The lifetime that a request means. Some frameworks date a cookie when they load it: one that has run out since, in a
 * request that took longer than its session may rest, is as old as the request, and nobody's order to end it.
 */
function renewed(lifetime: number, cookie: StoredCookie | undefined, loaded: LoadedSession | undefined): number {
  const maxAge = cookie?.originalMaxAge;
  const isAsLoaded = typeof maxAge === "number" && maxAge === loaded?.seen.cookie?.originalMaxAge;
  return lifetime <= 0 && isAsLoaded ? maxAge : lifetime;
}

/** A request that asks for no less than it found brings no deadline nearer that another has moved away meanwhile. */
function shortens(session: Session, idleMs: number): boolean {
  return idleMs + toleranceMs < session.remainingMs;
}

/** Whether a value may be a session id. Cookie parsers make objects, and clients send anything: that is never looked up. */
function isSid(sid: unknown): sid is string {
  return isId(sid) && !/\p{Cc}/u.test(sid);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
