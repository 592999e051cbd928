import {
  type Callback,
  type CallOptions,
  callbackify,
  ExpressStoreProtocol,
  type SessionData as ManagedData,
  resolveStoreBridgeOptions,
  type Session,
  type SessionManager,
  type StoreBridgeOptions,
  type UserId,
} from "@sojourn/core/bridge";
import { type SessionData, Store } from "express-session";
import { ExpressObjects, type Request } from "./express-objects.js";

const packageName = "@sojourn/express-session";

/** A `manager`, or a `store` with options for a manager that is made for it. */
export type ExpressSessionStoreOptions<Data extends object = ManagedData> = StoreBridgeOptions<
  Request,
  SessionData,
  Data
>;

export interface DestroyByUserInput extends CallOptions {
  /** The session id (`req.sessionID`) or the storage id of a session to keep, usually the caller's own. Default: all end. */
  readonly except?: string | undefined;
}

/** A session of {@link ExpressSessionStore.all}. */
export type StoredSession = SessionData & {
  /** The storage id. */
  readonly id: string;
};

/**
 * The store for `session({ store })` of express-session, on any Sojourn backend.
 *
 * Implements express-session's store protocol. Methods also return promises. Session ids are stored as their hash. A save
 * writes only the changes of its request: it does not revive a session that has ended, and does not undo the changes of
 * other requests. A save that is dropped for this reason is no error, but a `conflict` event of the manager. Errors are
 * `SessionError`s of the manager.
 *
 * The store never emits `connect` or `disconnect`: after a `disconnect`, express-session runs requests without
 * `req.session`. While the backend is down, each request fails within the store's timeout.
 *
 * @typeParam Data - the manager's type of the session data. Requests have the types of express-session
 */
export class ExpressSessionStore<Data extends object = ManagedData> extends Store {
  /** The manager of these sessions: for events, statistics, `destroyById`, and `close` at the end. */
  readonly manager: SessionManager<Data>;
  readonly #sessions: ExpressStoreProtocol<Request, SessionData>;
  #generate: ((req: Request) => void) | undefined;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: ExpressSessionStoreOptions<Data>) {
    super();
    const resolved = resolveStoreBridgeOptions(packageName, "new ExpressSessionStore({ store })", options);
    this.manager = resolved.manager;
    this.#sessions = new ExpressStoreProtocol(packageName, resolved, new ExpressObjects());
  }

  /**
   * Reads a session; `null` when it is missing or has expired. Waits for this process's writes of the session that began
   * earlier. Does not count as activity: express-session touches after the request.
   *
   * @throws SessionError `CORRUPT`, `DECODE`
   */
  override get(sid: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    return callbackify(this.#get(sid), callback);
  }

  /**
   * Saves a session.
   *
   * A session that express-session generated in this request is created. A loaded session is merged into the stored data, or
   * dropped when it has ended. Any other object is the application's own, and is created or replaces the stored data.
   *
   * @throws SessionError `LIMIT_REACHED`, `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `CONFLICT`, `INVALID_ARGUMENT` for a malformed
   * session id. The stored session is then unchanged
   */
  override set(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    return callbackify(this.#sessions.save(sid, session), callback);
  }

  /** Moves the deadline to the expiry of the cookie. Stores the cookie if other parts of it have changed. Never creates. */
  override touch(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    return callbackify(this.#sessions.touch(sid, session), callback);
  }

  /**
   * Ends a session by its session id, or by its storage id as {@link all} and {@link ids} return it.
   *
   * @throws SessionError `INVALID_ARGUMENT` for a value that is no session id
   */
  override destroy(sid: string, callback?: Callback): Promise<void> {
    return callbackify(this.#sessions.destroy(sid), callback);
  }

  /**
   * Returns the data of all live sessions, each with its storage id as `id`. Only the clients know the session ids. `destroy`,
   * `set` and `touch` take the `id` of such a session; `get` does not, because a storage id is no credential.
   *
   * @throws SessionError `NOT_SUPPORTED`
   */
  override all(callback?: Callback<StoredSession[]>): Promise<StoredSession[]> {
    return callbackify(this.#sessions.all(), callback);
  }

  /** Returns the storage ids of all live sessions, for `destroy` and for `manager.byId`. @throws SessionError `NOT_SUPPORTED` */
  ids(callback?: Callback<string[]>): Promise<string[]> {
    return callbackify(this.#ids(), callback);
  }

  /** Returns the number of live sessions. @throws SessionError `NOT_SUPPORTED` */
  override length(callback?: Callback<number>): Promise<number> {
    return callbackify(this.#count(), callback);
  }

  /** Ends all sessions. */
  override clear(callback?: Callback): Promise<void> {
    return callbackify(this.manager.byId.clear(), callback);
  }

  /** Lists the live sessions of a user, oldest first. The session of a request has the id `tokenToId(req.sessionID)`. */
  listByUser(userId: UserId, options: CallOptions = {}): Promise<Session<Data>[]> {
    return this.manager.listByUser(userId, options);
  }

  /**
   * Ends the sessions of a user ("log out everywhere"), except one if given.
   *
   * @returns the storage ids of the ended sessions
   * @throws SessionError `INVALID_ARGUMENT` for a malformed `except`: ending all sessions by mistake could not be undone
   */
  async destroyByUser(userId: UserId, input: DestroyByUserInput = {}): Promise<string[]> {
    return this.#sessions.destroyByUser(userId, input);
  }

  override createSession(req: Request, data: SessionData): ReturnType<Store["createSession"]> {
    const session = super.createSession(req, data);
    this.#sessions.rebind(data, session);
    return session;
  }

  /**
   * Gives a request a new session, as express-session does. A late request with the old id then begins no session, because
   * its cookie would replace the new one.
   */
  override regenerate(req: Request, callback: (error?: unknown) => unknown): void {
    // Never rejects.
    void this.#sessions.retire(req.sessionID, req.session).then(() => super.regenerate(req, callback));
  }

  /** Makes the new session of a request. `session({ store })` assigns it. */
  get generate(): ((req: Request) => void) | undefined {
    return this.#generate;
  }
  set generate(generate: (req: Request) => void) {
    if (this.#generate !== undefined) {
      const warning =
        `${packageName}: two session() middlewares share a store. express-session makes the new sessions of ` +
        "both by the options of the last one. Give each a store of its own; the stores may share a manager.";
      process.emitWarning(warning, { code: "SOJOURN_SHARED_STORE" });
    }
    this.#generate = generate;
  }

  async #get(sid: string): Promise<SessionData | null> {
    return (await this.#sessions.get(sid)) ?? (await this.#sessions.getLate(sid)) ?? null;
  }

  async #ids(): Promise<string[]> {
    const ids: string[] = [];
    for await (const { id } of this.manager.byId.scan()) ids.push(id);
    return ids;
  }

  async #count(): Promise<number> {
    return (await this.manager.byId.count()).sessions;
  }
}
