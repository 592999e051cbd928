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
  withHttpErrors,
} from "@sojourn/core/bridge";
import type { FastifyRequest, Session as FastifySession } from "fastify";

import { SessionObjects } from "./session-objects.js";

declare module "fastify" {
  /** What sessions hold, by @fastify/session and the application. Nothing while neither has said anything. */
  interface Session {}
}

/** A `manager`, or a `store` with the options of a manager to be made for it. */
export type FastifySessionStoreOptions<Data extends object = ManagedData> = StoreBridgeOptions<
  FastifyRequest,
  FastifySession,
  Data
>;

export interface DestroyByUserInput extends CallOptions {
  /** The session id (`request.session.sessionId`) of one session to keep, usually the caller's own. Omit to end all. */
  readonly except?: string | undefined;
}

const packageName = "@sojourn/fastify";

/**
 * The store to hand to @fastify/session 11, on any Sojourn backend.
 *
 * Keeps its store protocol; methods also return promises. Session ids are stored as their hash. A save writes what its
 * request has changed and nothing else, and only touches where that is nothing: under `rolling`, the default, each request
 * saves. It neither revives a session that has ended meanwhile nor undoes what another request stored. One that is dropped
 * for that reason is no error but a `conflict` event of the manager. Errors are `SessionError`s, as the manager's methods
 * name them; those of `get`, `set` and `destroy` make @fastify/session answer 503 while the backend is away, else 500.
 *
 * @typeParam Data - what the sessions of `manager` hold, for its users; Fastify's own types hold for requests
 */
export class FastifySessionStore<Data extends object = ManagedData> {
  /** The sessions behind this store: for events, statistics, `destroyById`, and `close` at the end. */
  readonly manager: SessionManager<Data>;
  readonly #objects = new SessionObjects();
  readonly #sessions: ExpressStoreProtocol<FastifyRequest, FastifySession>;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: FastifySessionStoreOptions<Data>) {
    const resolved = resolveStoreBridgeOptions(packageName, options);
    this.manager = resolved.manager;
    this.#sessions = new ExpressStoreProtocol(packageName, resolved, this.#objects);
  }

  /**
   * Reads a session; `null` when it is missing or has expired. Its cookie expires when the session does, whatever else the
   * cookie holds.
   *
   * @throws SessionError `CORRUPT`, `DECODE`
   */
  get(sid: string, callback?: Callback<FastifySession | null>): Promise<FastifySession | null> {
    return callbackify(
      withHttpErrors(this.#get(sid)),
      callback,
      (error) => this.#objects.unread(sid, error) as FastifySession,
    );
  }

  /**
   * Saves a session.
   *
   * One that was loaded is merged into what is stored, touched when it holds nothing new, and dropped when that has ended,
   * also after a `reload` that found nothing. One that @fastify/session made anew in this request is created. Any other
   * object, which is the application's own, is created or replaces what is stored.
   *
   * @throws SessionError `LIMIT_REACHED`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `CONFLICT`, `INVALID_ARGUMENT` for a session id
   * that is none, `NOT_SUPPORTED` when the installed @fastify/session cannot be worked with, and that of the `reload` before
   * when it failed; what is stored is then as it was
   */
  set(sid: string, session: object, callback?: Callback): Promise<void> {
    return callbackify(withHttpErrors(this.#set(sid, session)), callback);
  }

  destroy(sid: string, callback?: Callback): Promise<void> {
    return callbackify(withHttpErrors(this.#sessions.destroy(sid)), callback);
  }

  /** The live sessions of a user, oldest first. That of a request has the id `tokenToId(request.session.sessionId)`. */
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

  async #get(sid: string): Promise<FastifySession | null> {
    const data = await this.#sessions.get(sid);
    if (data === undefined) return null;
    const visible = Object.fromEntries(Object.entries(data).filter(([key]) => !hidden.has(key)));
    // What was loaded travels on the cookie: there is one in any case.
    const { cookie = {} } = data as { cookie?: object };
    const session = { ...visible, cookie };
    this.#sessions.rebind(data, session);
    // The application's types say what its sessions hold.
    return session as FastifySession;
  }

  async #set(sid: string, session: object): Promise<void> {
    if (isObject(session)) {
      this.#objects.requireCarrier(session);
      const unread = this.#objects.unreadOf(sid, session);
      if (unread !== undefined) {
        if (Object.keys(session).some((key) => key !== "cookie")) throw unread.error;
        return;
      }
    }
    await this.#sessions.save(sid, session);
  }
}

/**
 * Keys that @fastify/session must not copy to its `Session`: they would shadow what that offers, or replace its prototype.
 * Such a key of another writer stays stored.
 */
const hidden: ReadonlySet<string> = new Set([
  "__proto__",
  "constructor",
  "sessionId",
  "encryptedSessionId",
  "options",
  "touch",
  "regenerate",
  "get",
  "set",
  "destroy",
  "reload",
  "save",
  "isModified",
  "isSaved",
]);

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
