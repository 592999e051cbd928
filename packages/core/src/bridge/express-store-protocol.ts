import { KeyedQueue } from "../adapter/keyed-queue.js";
import { SessionError } from "../contract/errors.js";
import { type UserId, userIdText } from "../contract/user-id.js";
import { isId } from "../contract/validate.js";
import { checkDestroyByUser } from "../sessions/input-checks.js";
import type { CreateInput, DestroyByUserInput, SaveOptions } from "../sessions/inputs.js";
import type { Session } from "../sessions/session.js";
import type { SessionsById } from "../sessions/sessions-by-id.js";
import { isToken, tokenToId } from "../sessions/tokens.js";
import { cloneJson } from "./clone-json.js";
import { LateSessions } from "./late-sessions.js";
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

/** A session's data as JSON, with its cookie in stored form. */
export interface StoredData {
  [key: string]: unknown;
  cookie?: StoredCookie;
}

/** What the protocol keeps about an object that was loaded from the store. */
export interface LoadedSession {
  /** The id by which the object was loaded. A regenerated session has another one. */
  readonly id: string;
  readonly session: Session;
  /** Baseline of the changes: the object's data when it last equalled the stored data. */
  seen: StoredData;
}

/**
 * How a bridge recognises the session objects of its framework. This decides what a save may do: an object that none of the
 * three methods recognises is never written.
 */
export interface FrameworkObjects<Request> {
  /** Returns what `set` kept for this object, or for the object that the framework built it from. */
  get(object: object): LoadedSession | undefined;

  set(object: object, loaded: LoadedSession): void;

  /**
   * Returns the request in which the framework made this object as a new session; `undefined` for any other object. Such a
   * session is created. Never return a request for a copy of a loaded session: a late save would then create it again after
   * its logout.
   */
  requestOfNew(object: object): Request | undefined;

  /**
   * Whether the application made this object itself, so that a save creates the session or replaces it as a whole. Such a
   * save can undo a concurrent update, and can bring back a destroyed session. Default: no object is.
   */
  isApplicationsOwn?(object: object): boolean;
}

/** The options of a bridge, whatever the type of the manager's data. */
export interface ExpressStoreProtocolOptions<Request, Framework extends object>
  extends Omit<ResolvedStoreBridgeOptions<Request, Framework>, "manager"> {
  readonly manager: { readonly byId: unknown };
  /** Whether a session has a `cookie`, which says how long it lives. False: `cookie` is data like any other. Default true. */
  readonly hasCookie?: boolean | undefined;
}

/** A failed attempt means that the session ended in between. More in a row mean that the store is broken. */
const maxAttempts = 100;

/** A difference in lifetime that comes from the clock, not from the application. */
const toleranceMs = 100;

/**
 * The store protocol of express-session, which other frameworks have copied: a session is one object with its data and a
 * `cookie`, loaded as a whole and saved as a whole, under a session id that the framework makes. For bridges to such
 * frameworks.
 *
 * Session ids are stored as their hash. A malformed one is a miss, and reaches no store.
 *
 * @typeParam Request - the framework's request
 * @typeParam Framework - the framework's type of a session
 */
export class ExpressStoreProtocol<Request, Framework extends object> {
  readonly #packageName: string;
  readonly #byId: SessionsById;
  readonly #userId: (data: StoredData) => string | undefined;
  readonly #metadata: ResolvedStoreBridgeOptions<Request, Framework>["metadata"];
  readonly #objects: FrameworkObjects<Request>;
  readonly #hasCookie: boolean;
  /** Whole saves of one session, in the order of the calls. A `destroy` must not overtake the `save` before it. */
  readonly #saves = new KeyedQueue();
  readonly #late: LateSessions;

  /** @param packageName - the bridge's, for error messages */
  constructor(
    packageName: string,
    options: ExpressStoreProtocolOptions<Request, Framework>,
    objects: FrameworkObjects<Request>,
  ) {
    this.#packageName = packageName;
    const { manager, userId, metadata, hasCookie = true } = options;
    // The type of the data concerns framework and application: here it is JSON.
    this.#byId = manager.byId as SessionsById;
    this.#late = new LateSessions(this.#byId);
    // The application states the type of its sessions.
    this.#userId = (data) => userIdText(userId(data as Partial<Framework>)) ?? undefined;
    this.#metadata = metadata;
    this.#objects = objects;
    this.#hasCookie = hasCookie;
  }

  /**
   * Reads a session, without counting as activity. Waits for this process's writes of the session that began earlier.
   *
   * @returns `undefined` when it is missing or has expired
   */
  async get(sid: string): Promise<Framework | undefined> {
    if (!isSid(sid)) return undefined;
    const id = tokenToId(sid);
    const writes = this.#saves.settled(id);
    if (writes !== undefined) await writes;
    const session = await this.#byId.get(id, { touch: false });
    return session && this.#toFramework(id, session);
  }

  /**
   * Returns an empty session for a request whose id another request has regenerated a moment ago; `undefined` otherwise. For
   * an id that `get` does not find, in a framework that calls {@link ExpressStoreProtocol.retire}. Saves of it are dropped.
   */
  async getLate(sid: string): Promise<Framework | undefined> {
    // The application states the type of its sessions.
    return isSid(sid) ? ((await this.#late.open(tokenToId(sid))) as Framework | undefined) : undefined;
  }

  /** Makes the id of a loaded session known as moved, before the framework destroys the session in order to regenerate it. */
  async retire(sid: string, object: object): Promise<void> {
    if (isSid(sid) && this.#find(tokenToId(sid), object) !== undefined) await this.#byId.markMoved(tokenToId(sid));
  }

  /**
   * Reads all live sessions, each with its storage id as `id`: the session ids are known to their clients only. `save`,
   * `touch` and `destroy` take this id for such a session, and never store it as data.
   */
  async all(): Promise<(Framework & { id: string })[]> {
    const all: (Framework & { id: string })[] = [];
    for await (const session of this.#byId.scan()) {
      const { id } = session;
      const object = Object.assign(this.#toFramework(id, session), { id });
      // In the baseline, too, so that a save sees no change.
      this.#objects.set(object, { id, session, seen: { ...session.data, id } });
      all.push(object);
    }
    return all;
  }

  /**
   * Transfers what is kept about `data` to `built`, the object that the framework built from it. Keys that `built` does not
   * show, because the framework has members of these names, do not count as deleted by the request.
   */
  rebind(data: object, built: object): void {
    this.#late.rebind(data, built);
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
   * - A loaded session is merged into the stored data. If it has not changed, it is only touched. If it has ended, the save
   *   is dropped, and the manager emits `conflict`.
   * - A session that the framework made new is created.
   * - An object of the application's own is created or replaces the stored data.
   * - The session of a late request is dropped: {@link ExpressStoreProtocol.getLate}.
   * - Any other object is refused: without the data that was loaded, a save could undo a concurrent update or a logout.
   *
   * A session whose cookie has expired is destroyed.
   *
   * @param idleTimeoutMs - the idle timeout. Default: the lifetime of the cookie; else the manager's
   * @throws SessionError `NOT_SUPPORTED` for an object that the bridge does not recognise, `INVALID_ARGUMENT` for a malformed
   * session id, `ENCODE`, `CONFLICT`, and those of the manager
   */
  async save(sid: string, object: object, idleTimeoutMs?: number): Promise<void> {
    const id = this.#idOf(sid, object);
    if (this.#late.has(object)) return this.#late.drop(object);
    const data = this.#snapshot(object);
    const lifetime = this.#lifetimeMs(object, idleTimeoutMs);
    await this.#saves.run(id, async () => {
      const loaded = this.#find(id, object);
      const upsert = loaded === undefined ? this.#upsertOf(object) : undefined;
      const idleMs = renewed(lifetime, this.#cookieOf(data), loaded);
      if (idleMs <= 0) await this.#byId.destroy(id);
      else if (loaded !== undefined) await this.#write(loaded, data, idleMs);
      else if (upsert !== undefined) await this.#createOrWrite(id, object, data, idleMs, upsert);
    });
  }

  /**
   * Moves the deadline, if that is due according to the manager's `touchAfter`. Writes no data except a changed cookie.
   * Never creates.
   *
   * @param idleTimeoutMs - the idle timeout. Default: the lifetime of the cookie; else the manager's
   * @returns `undefined` when there is nothing to write, so that a framework need not wait
   */
  touch(sid: string, object: object | undefined, idleTimeoutMs?: number): Promise<void> | undefined {
    if (!isSid(sid) || this.#late.has(object)) return undefined;
    const id = this.#idOf(sid, object);
    return this.#isTouchDue(id, object) ? this.#touch(id, object, idleTimeoutMs) : undefined;
  }

  /** Returns true when in doubt. */
  #isTouchDue(id: string, object: object | undefined): boolean {
    const loaded = this.#find(id, object);
    const cookie = this.#hasCookie && isObject(object) ? plainCookie(object.cookie) : undefined;
    if (loaded === undefined || cookie === undefined || this.#saves.settled(id) !== undefined) return true;
    const { session, seen } = loaded;
    const stored = withoutDrift(toStored(cookie), seen.cookie);
    if (!isSameCookie(stored, seen.cookie)) return true;
    const idleMs = renewed(this.#lifetimeMs(object), stored, loaded);
    return idleMs <= 0 || session.isTouchDue({ idleMs, shorten: shortens(session, idleMs) });
  }

  async #touch(id: string, object: object | undefined, idleTimeoutMs: number | undefined): Promise<void> {
    const { cookie } = this.#snapshot(this.#hasCookie && isObject(object) ? { cookie: object.cookie } : {});
    const lifetime = this.#lifetimeMs(object, idleTimeoutMs);
    await this.#saves.run(id, async () => {
      const found = this.#find(id, object);
      const idleMs = renewed(lifetime, cookie, found);
      if (idleMs <= 0) return void (await this.#byId.destroy(id));
      const loaded = found ?? (await this.#load(id));
      if (loaded === undefined) return;
      const { seen } = loaded;
      await this.#write(loaded, cookie === undefined ? seen : { ...seen, cookie }, idleMs);
    });
  }

  /**
   * Ends a session by its session id, or by its storage id as `all` gives it. Resolves also where there is none.
   *
   * @throws SessionError `INVALID_ARGUMENT` for a malformed session id
   */
  async destroy(sid: string): Promise<void> {
    const id = this.sidToId(sid);
    const hasEnded = await this.#saves.run(id, () => this.#byId.destroy(id));
    // A storage id has the form of a token. Only one that is no live session id is taken for a storage id.
    if (!hasEnded && isToken(sid)) await this.#saves.run(sid, () => this.#byId.destroy(sid));
  }

  /**
   * Ends the sessions of a user, except one if given by its session id or its storage id.
   *
   * @returns the storage ids of the ended sessions
   * @throws SessionError `INVALID_ARGUMENT` for a malformed `except`
   */
  async destroyByUser(userId: UserId, input: DestroyByUserInput): Promise<string[]> {
    checkDestroyByUser(input);
    const { except, ...call } = input;
    if (except === undefined) return this.#byId.destroyByUser(userId, call);
    requireSid(this.#packageName, except);
    return this.#byId.destroyByUser(userId, { ...call, except: await this.#byId.idOf(except, call) });
  }

  /** Returns the storage id of a session id. @throws SessionError `INVALID_ARGUMENT` for a malformed one */
  sidToId(sid: string): string {
    requireSid(this.#packageName, sid);
    return tokenToId(sid);
  }

  /** Returns the storage id of the session that is saved: an object of {@link all} comes with its storage id. */
  #idOf(sid: string, object: object | undefined): string {
    return isObject(object) && this.#objects.get(object)?.id === sid ? sid : this.sidToId(sid);
  }

  /** Copies a session into an object that the caller may change and pass to `save`. */
  #toFramework(id: string, session: Session): Framework {
    // Only bridges write these sessions, in this shape.
    const object = cloneJson(session.data as StoredData);
    if (this.#hasCookie && isObject(object.cookie))
      object.cookie = fromStored(object.cookie, session.remainingMs) as StoredCookie;
    this.#objects.set(object, { id, session, seen: session.data });
    // The application states the type of its sessions.
    return object as unknown as Framework;
  }

  /** Writes the changes since the baseline. Writes nothing if the session has ended. */
  async #write(loaded: LoadedSession, data: StoredData, idleMs: number): Promise<void> {
    const { session, seen } = loaded;
    const stored = this.#cookieOf(data);
    const cookie = stored && withoutDrift(stored, seen.cookie);
    const steady = cookie === undefined ? data : { ...data, cookie };
    const userId = this.#userId(steady);
    const change = userId === this.#userId(seen) ? {} : { userId: userId ?? null };
    const shorten = shortens(session, idleMs);
    const status = await session.save(steady, { base: seen, idleMs, shorten, ...change });
    if (status === "saved" || status === "unchanged") loaded.seen = steady;
  }

  /** Decides how to store an object that was not loaded. @throws SessionError `NOT_SUPPORTED` if it may be a loaded one */
  #upsertOf(object: object): Upsert<Request> {
    const request = this.#objects.requestOfNew(object);
    if (request !== undefined) return { isNew: true, request };
    if (this.#objects.isApplicationsOwn?.(object)) return { isNew: false };
    const message =
      `${this.#packageName}: cannot save a session object that is neither loaded by this store nor new: the save could ` +
      "undo a concurrent update or a logout. Nothing is written";
    throw new SessionError("NOT_SUPPORTED", message);
  }

  async #createOrWrite(
    id: string,
    object: object,
    data: StoredData,
    idleMs: number,
    upsert: Upsert<Request>,
  ): Promise<void> {
    const userId = this.#userId(data);
    const metadata = upsert.isNew ? this.#metadata(upsert.request) : undefined;
    // Two requests may make one new id: both keep the keys that they set. An application's object is the whole data.
    const options: SaveOptions = upsert.isNew
      ? { base: {}, userId }
      : { onConflict: "overwrite", userId: userId ?? null };
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const created = await this.#create(id, { data, userId, metadata, idleTimeout: idleMs });
      const session = created ?? (await this.#byId.get(id, { touch: false, onUnreadable: "fail" }));
      const status = created ? "saved" : await session?.save(data, { ...options, idleMs });
      // With any other status the session under this id has ended in between, and the id is free again.
      if (session !== undefined && (status === "saved" || status === "unchanged")) {
        // An application's object is not traced: saving it again replaces the stored data again.
        if (upsert.isNew) this.#objects.set(object, { id, session, seen: data });
        return;
      }
    }
    const message = `${this.#packageName}: session ${id} can be neither created nor written`;
    throw new SessionError("CONFLICT", message);
  }

  /** @throws SessionError `INVALID_OPTION` if the schema drops the cookie: a framework cannot load a session without one */
  async #create(id: string, input: CreateInput<StoredData>): Promise<Session | undefined> {
    const created = await this.#byId.create(id, input);
    if (created === undefined || this.#cookieOf(input.data) === undefined || "cookie" in created.data) return created;
    await this.#byId.destroy(id);
    throw new SessionError("INVALID_OPTION", `${this.#packageName}: the schema must keep the key "cookie"`);
  }

  #find(id: string, object: object | undefined): LoadedSession | undefined {
    const loaded = object && this.#objects.get(object);
    return loaded?.id === id ? loaded : undefined;
  }

  async #load(id: string): Promise<LoadedSession | undefined> {
    const session = await this.#byId.get(id, { touch: false });
    return session && { id, session, seen: session.data };
  }

  #lifetimeMs(object: object | undefined, idleTimeoutMs?: number): number {
    const cookie = this.#hasCookie && isObject(object) && isObject(object.cookie) ? object.cookie : undefined;
    return Math.min(idleTimeoutMs ?? lifetimeMs(cookie) ?? this.#byId.idleMs, this.#byId.absoluteMs);
  }

  /** Returns the stored cookie of a framework that has one in its sessions. */
  #cookieOf({ cookie }: StoredData): StoredCookie | undefined {
    return this.#hasCookie ? cookie : undefined;
  }

  /** Copies the data of this moment, as JSON. The request may go on changing the object while the copy is being saved. */
  #snapshot(object: object): StoredData {
    const data = this.#toJson(object);
    if (!isObject(data)) throw new SessionError("ENCODE", `${this.#packageName}: a session must be an object`);
    if (!this.#hasCookie) return data;
    const { cookie, ...rest } = data;
    // The framework makes objects. Any other cookie is ignored.
    return isObject(cookie) ? { ...data, cookie: toStored(cookie) } : rest;
  }

  #toJson(value: unknown): unknown {
    try {
      return JSON.parse(JSON.stringify(value) ?? "null");
    } catch (cause) {
      // The first line of the message names the reason, and contains no value.
      const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : "it is not JSON";
      throw new SessionError("ENCODE", `${this.#packageName}: session data cannot be encoded: ${reason}`, { cause });
    }
  }
}

/** How to store an object that was not loaded: as a new session of a request, or as the application's own data. */
type Upsert<Request> = { readonly isNew: true; readonly request: Request } | { readonly isNew: false };

/**
 * Returns the lifetime that a save asks for. Some frameworks date a cookie when they load it. If such a date has passed
 * during a slow request, and the request did not change the cookie, its `originalMaxAge` counts.
 */
function renewed(lifetime: number, cookie: StoredCookie | undefined, loaded: LoadedSession | undefined): number {
  const maxAge = cookie?.originalMaxAge;
  const isAsLoaded = typeof maxAge === "number" && maxAge === loaded?.seen.cookie?.originalMaxAge;
  return lifetime <= 0 && isAsLoaded ? maxAge : lifetime;
}

/** Whether a request shortens the lifetime. If not, it must not bring nearer a deadline that another request has moved. */
function shortens(session: Session, idleMs: number): boolean {
  return idleMs + toleranceMs < session.remainingMs;
}

/** Whether a value may be a session id. Cookie parsers can return objects, and clients can send anything. */
function isSid(sid: unknown): sid is string {
  return isId(sid) && !/\p{Cc}/u.test(sid);
}

function requireSid(packageName: string, sid: unknown): asserts sid is string {
  if (isSid(sid)) return;
  const expectation = "a string of 1 to 512 bytes of well-formed UTF-8 without control characters";
  throw new SessionError("INVALID_ARGUMENT", `${packageName}: a session id must be ${expectation}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
