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
} from "@sojourn/core/bridge";
import { type SessionData, Store } from "express-session";
import { ExpressObjects, type Request } from "./express-objects.js";

const packageName = "@sojourn/express-session";

/** A `manager`, or a `store` with the options of a manager to be made for it. */
export type ExpressSessionStoreOptions<Data extends object = ManagedData> = StoreBridgeOptions<
  Request,
  SessionData,
  Data
>;

export interface DestroyByUserInput extends CallOptions {
  /** The session id (`req.sessionID`) of one session to keep, usually the caller's own. Omit to end all. */
  readonly except?: string | undefined;
}

/**
 * The store to hand to `session({ store })` of express-session, on any Sojourn backend.
 *
 * Keeps express-session's protocol; methods also return promises. Session ids are stored as their hash. A save writes
 * what its request has changed and nothing else: it neither revives a session that has ended meanwhile nor undoes what
 * another request stored. One that is dropped for that reason is no error but a `conflict` event of the manager. Errors
 * are `SessionError`s, as the manager's methods name them.
 *
 * The events `connect` and `disconnect` are never emitted: after a `disconnect` express-session runs requests without
 * any `req.session`. While the backend is down, each request fails by itself, within the store's timeout.
 *
 * @typeParam Data - what the sessions of `manager` hold, for its users; express-session's own types hold for requests
 */
export class ExpressSessionStore<Data extends object = ManagedData> extends Store {
  /** The sessions behind this store: for events, statistics, `destroyById`, and `close` at the end. */
  readonly manager: SessionManager<Data>;
  readonly #sessions: ExpressStoreProtocol<Request, SessionData>;
  #generate: ((req: Request) => void) | undefined;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: ExpressSessionStoreOptions<Data>) {
    super();
    const resolved = resolveStoreBridgeOptions(packageName, options);
    this.manager = resolved.manager;
    this.#sessions = new ExpressStoreProtocol(packageName, resolved, new ExpressObjects());
  }

  /**
   * Reads a session; `null` when it is missing or has expired. No activity: express-session touches after the request.
   *
   * @throws SessionError `CORRUPT`, `DECODE`
   */
  override get(sid: string, callback?: Callback<SessionData | null>): Promise<SessionData | null> {
    return callbackify(this.#get(sid), callback);
  }

  /**
   * Saves a session.
   *
   * One that express-session has generated in this request is created. One that was loaded is merged into what is stored,
   * and dropped when that has ended. Any other object, which is the application's own, is created or replaces what is stored.
   *
   * @throws SessionError `LIMIT_REACHED`, `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `CONFLICT`, `INVALID_ARGUMENT` for a session id
   * that is none; what is stored is then as it was
   */
  override set(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    return callbackify(this.#sessions.save(sid, session), callback);
  }

  /** Moves the deadline to the expiry of the cookie, and stores the cookie if it has changed otherwise. Never creates. */
  override touch(sid: string, session: SessionData, callback?: Callback): Promise<void> {
    return callbackify(this.#sessions.touch(sid, session), callback);
  }

  override destroy(sid: string, callback?: Callback): Promise<void> {
    return callbackify(this.#sessions.destroy(sid), callback);
  }

  /** The data of all live sessions. Their session ids are known to their clients only. @throws SessionError `NOT_SUPPORTED` */
  override all(callback?: Callback<SessionData[]>): Promise<SessionData[]> {
    return callbackify(this.#sessions.all(), callback);
  }

  /** The storage ids of all live sessions. @throws SessionError `NOT_SUPPORTED` */
  ids(callback?: Callback<string[]>): Promise<string[]> {
    return callbackify(this.#ids(), callback);
  }

  /** The number of live sessions. @throws SessionError `NOT_SUPPORTED` */
  override length(callback?: Callback<number>): Promise<number> {
    return callbackify(this.#count(), callback);
  }

  /** Ends all sessions. */
  override clear(callback?: Callback): Promise<void> {
    return callbackify(this.manager.byId.clear(), callback);
  }

  /** The live sessions of a user, oldest first. That of a request has the id `tokenToId(req.sessionID)`. */
  listByUser(userId: string, options: CallOptions = {}): Promise<Session<Data>[]> {
    return this.manager.listByUser(userId, options);
  }

  /**
   * Ends the sessions of a user ("log out everywhere", or everywhere else).
   *
   * @returns the storage ids of the sessions ended
   * @throws SessionError `INVALID_ARGUMENT` when `except` is no session id: ending all by a slip would not be undone
   */
  async destroyByUser(userId: string, { except, signal }: DestroyByUserInput = {}): Promise<string[]> {
    const id = except === undefined ? undefined : this.#sessions.sidToId(except);
    return this.manager.byId.destroyByUser(userId, { except: id, signal });
  }

  override createSession(req: Request, data: SessionData): ReturnType<Store["createSession"]> {
    const session = super.createSession(req, data);
    this.#sessions.rebind(data, session);
    return session;
  }

  /** Makes a request's new session. Assigned by `session({ store })`. */
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
    return (await this.#sessions.get(sid)) ?? null;
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
