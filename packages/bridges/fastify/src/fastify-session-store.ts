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
  withHttpErrors,
} from "@sojourn/core/bridge";
import type { FastifyRequest, Session as FastifySession } from "fastify";

import { SessionObjects } from "./session-objects.js";

declare module "fastify" {
  /** Type of the sessions, extended by @fastify/session and the application. */
  interface Session {}
}

/** A `manager`, or a `store` with options for a manager that is made for it. */
export type FastifySessionStoreOptions<Data extends object = ManagedData> = StoreBridgeOptions<
  FastifyRequest,
  FastifySession,
  Data
>;

export interface DestroyByUserInput extends CallOptions {
  /** The session id (`request.session.sessionId`) or the storage id of a session to keep, usually the caller\'s own. Default: all end. */
  readonly except?: string | undefined;
}

const packageName = "@sojourn/fastify";

/**
 * The store for @fastify/session 11, on any Sojourn backend.
 *
 * Implements its store protocol. Methods also return promises. Session ids are stored as their hash. A save writes only the
 * changes of its request, and only touches if there are none: under `rolling`, the default, each request saves. It does not
 * revive a session that has ended, and does not undo the changes of other requests. A save that is dropped for this reason is
 * no error, but a `conflict` event of the manager. Errors are `SessionError`s of the manager. Errors of `get`, `set` and
 * `destroy` make @fastify/session answer 503 while the backend cannot be reached, else 500.
 *
 * @typeParam Data - the manager's type of the session data. Requests have the types of Fastify
 */
export class FastifySessionStore<Data extends object = ManagedData> {
  /** The manager of these sessions: for events, statistics, `destroyById`, and `close` at the end. */
  readonly manager: SessionManager<Data>;
  readonly #objects = new SessionObjects();
  readonly #sessions: ExpressStoreProtocol<FastifyRequest, FastifySession>;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: FastifySessionStoreOptions<Data>) {
    const resolved = resolveStoreBridgeOptions(packageName, "new FastifySessionStore({ store })", options);
    this.manager = resolved.manager;
    this.#sessions = new ExpressStoreProtocol(packageName, resolved, this.#objects);
  }

  /**
   * Reads a session; `null` when it is missing or has expired. Waits for this process's writes of the session that began
   * earlier. The cookie expires with the session, regardless of its other attributes.
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
   * A loaded session is merged into the stored data, touched if it has not changed, and dropped if it has ended, also after a
   * `reload` that found nothing. A session that @fastify/session made new in this request is created. A plain object is the
   * application's own, and is created or replaces the stored data.
   *
   * @throws SessionError `LIMIT_REACHED`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `CONFLICT`, `INVALID_ARGUMENT` for a malformed
   * session id, `NOT_SUPPORTED` when the installed @fastify/session does not carry loaded sessions, and the error of a failed
   * `reload` before. The stored session is then unchanged
   */
  set(sid: string, session: object, callback?: Callback): Promise<void> {
    return callbackify(withHttpErrors(this.#set(sid, session)), callback);
  }

  destroy(sid: string, callback?: Callback): Promise<void> {
    return callbackify(withHttpErrors(this.#sessions.destroy(sid)), callback);
  }

  /** Lists the live sessions of a user, oldest first. The session of a request has the id `tokenToId(request.session.sessionId)`. */
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

  async #get(sid: string): Promise<FastifySession | null> {
    const data = await this.#sessions.get(sid);
    if (data === undefined) return null;
    const visible = Object.fromEntries(Object.entries(data).filter(([key]) => !hidden.has(key)));
    // The loaded session is kept on the cookie, so there must be one.
    const { cookie = {} } = data as { cookie?: object };
    const session = { ...visible, cookie };
    this.#sessions.rebind(data, session);
    // The application states the type of its sessions.
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
 * Keys that @fastify/session must not copy to its `Session`, because they would hide its members or replace its prototype.
 * They stay stored.
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
