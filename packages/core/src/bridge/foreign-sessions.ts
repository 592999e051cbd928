import type { SessionData } from "../content/session-data.js";
import type { SessionManager } from "../sessions/manager.js";
import { ExpressStoreProtocol, type FrameworkObjects, type LoadedSession } from "./express-store-protocol.js";
import { resolveStoreBridgeOptions, type StoreBridgeOptions } from "./store-bridge-options.js";

const packageName = "@sojourn/core";

/**
 * Sessions of a framework that has its own session ids and its own cookie, and asks a store for four calls: read, write, touch
 * and destroy by session id. For stores of koa-session, koa-generic-session, AdonisJS and others like them.
 *
 * Each call gets its scope: an object that exists once for each request, such as the context of Koa. It shows what the request
 * has loaded, so that a save is merged into the stored data, and is dropped when the session has ended.
 *
 * @typeParam Data - type of the session data
 * @typeParam Scope - type of the scopes, which `metadata` gets as its request
 * @example
 * ```ts
 * import { ForeignSessions } from "@sojourn/core/bridge";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const sessions = new ForeignSessions<{ views: number }>({ store: new MemoryStore() });
 * const [first, second] = [{}, {}]; // the contexts of two requests
 * await sessions.save("an id of the framework", { views: 1 }, first);
 * const data = await sessions.load("an id of the framework", second);
 * await sessions.destroy("an id of the framework");
 * await sessions.save("an id of the framework", { views: (data?.views ?? 0) + 1 }, second); // stays destroyed
 * await sessions.manager.close();
 * ```
 */
export class ForeignSessions<Data extends object = SessionData, Scope extends object = object> {
  /** The manager of these sessions: for events, statistics, `destroyById`, and `close` at the end. */
  readonly manager: SessionManager<Data>;
  readonly #protocol: ExpressStoreProtocol<Scope, Data>;
  readonly #objects: ScopedObjects<Scope> = new ScopedObjects();

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: StoreBridgeOptions<Scope, Data, Data>) {
    const resolved = resolveStoreBridgeOptions(packageName, "new ForeignSessions({ store })", options);
    this.manager = resolved.manager;
    this.#protocol = new ExpressStoreProtocol(packageName, { ...resolved, hasCookie: false }, this.#objects);
  }

  /**
   * Reads a session, without counting as activity. Waits for this process's writes of the session that began earlier.
   *
   * @returns a copy of the data; `undefined` when the session is missing or has ended, and for a malformed session id
   */
  async load(sid: string, scope: Scope | undefined): Promise<Data | undefined> {
    const data = await this.#protocol.get(sid);
    if (data !== undefined && scope !== undefined) this.#objects.loadedIn(scope, data);
    return data;
  }

  /**
   * Saves the data of a session.
   *
   * - If the scope has loaded a session with this id, or if `data` is the object that `load` has returned, the changes since then
   *   are merged into the stored data. If the session has ended since, nothing is written, and the manager emits `conflict`.
   * - Otherwise the session is created.
   * - Without a scope, other data is refused: the save could undo a concurrent update or a logout.
   *
   * @param idleTimeoutMs - the idle timeout. Default: the manager's. At 0 or less, the session is destroyed
   * @throws SessionError `NOT_SUPPORTED` without a scope, `INVALID_ARGUMENT` for a malformed session id, `ENCODE`, `CONFLICT`, and
   * those of the manager
   */
  async save(sid: string, data: Data, scope: Scope | undefined, idleTimeoutMs?: number): Promise<void> {
    this.#objects.savedIn(scope, data, this.#protocol.sidToId(sid));
    await this.#protocol.save(sid, data, idleTimeoutMs);
  }

  /**
   * Moves the deadline, if that is due according to the manager's `touchAfter`. Never creates.
   *
   * @param idleTimeoutMs - the idle timeout. Default: the manager's
   */
  async touch(sid: string, idleTimeoutMs?: number): Promise<void> {
    await this.#protocol.touch(sid, undefined, idleTimeoutMs);
  }

  /** Ends a session. Resolves also where there is none. @throws SessionError `INVALID_ARGUMENT` for a malformed session id */
  destroy(sid: string): Promise<void> {
    return this.#protocol.destroy(sid);
  }
}

/** Traces the data of a save to its load: by the object itself, else by the session id within the scope. */
class ScopedObjects<Scope extends object> implements FrameworkObjects<Scope> {
  readonly #loaded = new WeakMap<object, LoadedSession>();
  /** What each scope has loaded or created, by storage id. */
  readonly #inScope = new WeakMap<Scope, Map<string, LoadedSession>>();
  /** The scopes of data that may be created. */
  readonly #scopes = new WeakMap<object, Scope>();

  loadedIn(scope: Scope, data: object): void {
    const loaded = this.#loaded.get(data);
    if (loaded !== undefined) this.#keep(scope, loaded);
  }

  savedIn(scope: Scope | undefined, data: object, id: string): void {
    if (scope === undefined || this.#loaded.get(data)?.id === id) return;
    const loaded = this.#inScope.get(scope)?.get(id);
    if (loaded !== undefined) this.#loaded.set(data, loaded);
    else this.#scopes.set(data, scope);
  }

  get(object: object): LoadedSession | undefined {
    return this.#loaded.get(object);
  }

  set(object: object, loaded: LoadedSession): void {
    this.#loaded.set(object, loaded);
    const scope = this.#scopes.get(object);
    if (scope !== undefined) this.#keep(scope, loaded);
  }

  requestOfNew(object: object): Scope | undefined {
    return this.#scopes.get(object);
  }

  #keep(scope: Scope, loaded: LoadedSession): void {
    const known = this.#inScope.get(scope) ?? new Map<string, LoadedSession>();
    this.#inScope.set(scope, known.set(loaded.id, loaded));
  }
}
