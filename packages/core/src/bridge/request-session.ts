import type { SessionData } from "../content/session-data.js";
import type { Duration } from "../contract/duration.js";
import { SessionError } from "../contract/errors.js";
import { inputCheck } from "../contract/input-check.js";
import { type UserId, userIdText } from "../contract/user-id.js";
import type { CreateInput, RenameInput, UpdateFunction } from "../sessions/inputs.js";
import type { TokenSession } from "../sessions/manager.js";
import type { Session, SessionInfo } from "../sessions/session.js";
import { isToken, tokenToId } from "../sessions/tokens.js";
import { Draft, type SessionDraft } from "./draft.js";
import { leaveFlash, takeFlash } from "./flash.js";
import { withHttpErrors } from "./http-errors.js";
import type { ResolvedHttpSessionsOptions } from "./http-sessions-options.js";
import { warnOfLostChanges } from "./lost-changes.js";
import { RequestClient } from "./request-client.js";
import { TokenDelivery } from "./token-delivery.js";
import { WriteQueue } from "./write-queue.js";

export interface RegenerateInput<Data extends object>
  extends Omit<RenameInput<Data>, "update" | "client" | "leaveMark"> {
  /** Whether the data is kept, or the keys to keep. Default true. */
  readonly keep?: boolean | readonly (keyof Data)[] | undefined;
  /** Whether a new session begins, without the data, if this one has ended. Default: true if `userId` is a user. */
  readonly beginIfEnded?: boolean | undefined;
}

/** One of a user's sessions, for an "active sessions" page. */
export interface UserSession extends SessionInfo {
  /** Whether this is the session of the request itself. */
  readonly current: boolean;
}

/**
 * The loaded session of one request.
 *
 * Changes to `data` are saved once, before the response. Methods that write, and `reload`, run in the order of the calls.
 * They reject with a `SessionError`, which has the `statusCode` 503 while the backend cannot be reached. After a session has
 * ended, neither this request nor another one writes to it.
 *
 * @typeParam Data - type of the session data
 */
export class RequestSession<Data extends object, Request = unknown, Response = unknown> {
  readonly #options: ResolvedHttpSessionsOptions<Request, Response>;
  readonly #request: Request;
  readonly #readOnlyReason: string | undefined;
  readonly #writes = new WriteQueue();
  readonly #delivery: TokenDelivery<Request, Response>;
  #draft: Draft;
  /** The token that the request brought, if it has the form of one. */
  readonly #presented: string | undefined;
  #stored: TokenSession<object> | undefined;
  #hasEnded = false;
  #hasFailed = false;

  /**
   * Whether the request brought a token whose session is not there any more, so that a page can say "you were logged out".
   * False at a first visit.
   *
   * @example
   * ```ts in-request
   * if (session.expired) console.log("You were logged out. Please log in again.");
   * ```
   */
  readonly expired: boolean;

  /** @internal */
  constructor(
    options: ResolvedHttpSessionsOptions<Request, Response>,
    request: Request,
    token: string | undefined,
    session: Session<object> | undefined,
  ) {
    this.#options = options;
    this.#request = request;
    this.#presented = isToken(token) ? token : undefined;
    this.#stored = token !== undefined && session ? { token, session } : undefined;
    this.expired = this.#presented !== undefined && session === undefined;
    this.#draft = new Draft(session?.data ?? {});
    this.#delivery = new TokenDelivery(options.framework, options.transport);
    this.#readOnlyReason = options.framework.readOnlyReason?.(request);
    if (this.#readOnlyReason !== undefined) this.#refuseChanges(this.#readOnlyReason);
  }

  /** The storage id, which is no credential. `undefined` while the session is not stored, and after it has ended. */
  get id(): string | undefined {
    return this.#stored?.session.id;
  }
  get userId(): string | undefined {
    return this.#stored?.session.userId;
  }
  /** When the user last proved their identity: the last `regenerate` with `authenticated: true`. */
  get authenticatedAt(): number | undefined {
    return this.#stored?.session.authenticatedAt;
  }
  /** Whether the session is not stored yet. */
  get isNew(): boolean {
    return this.#stored === undefined && !this.#hasEnded;
  }
  /** Whether this request has destroyed the session, or has found that it ended. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }
  /**
   * Whether another request has given the session a new token meanwhile, within the manager's `regenerationGrace`. This
   * request goes on reading, and its changes are dropped. The other response has brought the client its token.
   */
  get isSuperseded(): boolean {
    return this.#stored?.session.isSuperseded ?? false;
  }
  /**
   * The session data: assign to its keys, delete them, or change their values in place.
   *
   * An object is copied when its key is first read, and compared with the stored one at the save. `stored.data` is frozen
   * and copies nothing: use it to read large values. After a `reload`, read values again: those read before are detached.
   * `structuredClone(session.data)` throws; `structuredClone({ ...session.data })` works.
   *
   * @example
   * ```ts in-request
   * session.data.views = (session.data.views ?? 0) + 1;
   * (session.data.cart ??= []).push("book");
   * ```
   */
  get data(): SessionDraft<Data> {
    // The type parameter is the caller's statement about the data.
    return this.#draft.data as SessionDraft<Data>;
  }
  /** The manager's session: deadlines, metadata, version, and the data without the changes of this request. */
  get stored(): Session<Data> | undefined {
    return this.#stored?.session as Session<Data> | undefined;
  }

  /**
   * Saves now what the end of the request would save: the changes, merged into the data stored by then. Stores a new session
   * even if it is empty.
   *
   * @returns false when the session has ended, belongs to another user since it was loaded, or is superseded: nothing is
   * written
   * @example
   * ```ts in-request
   * session.data.cart = ["book"];
   * await session.save(); // before work that may fail
   * ```
   */
  save(): Promise<boolean> {
    return this.#write(async () => {
      if (this.#hasEnded) return false;
      return this.#stored === undefined ? this.#saveNew() : this.#saveChanges();
    });
  }

  /**
   * Reads the stored data, applies the changes of this request and then `change`, and writes the result. Starts again when
   * another request wrote in between. Use it for counters and lists, which `save` would replace as a whole.
   *
   * @returns false when the session has ended, belongs to another user, or is superseded
   * @example
   * ```ts in-request
   * await session.update((data) => ({ ...data, views: (data.views ?? 0) + 1 }));
   * ```
   */
  update(change: UpdateFunction<Data>): Promise<boolean> {
    // The store passes data of the type that the caller states.
    const apply = change as unknown as UpdateFunction<object>;
    return this.#write(async () => {
      if (this.#hasEnded) return false;
      let mark = this.#draft.snapshot();
      if (this.#stored === undefined) {
        const session = await this.#begin(await apply(this.#draft.snapshot()));
        if (session !== undefined) this.#draft.rebase(session.data, mark);
        return session !== undefined;
      }
      const { session } = this.#stored;
      const isUpdated = await session.update((stored) => {
        mark = this.#draft.snapshot();
        return apply(this.#draft.applyTo(stored, mark));
      });
      if (isUpdated) this.#draft.rebase(session.data, mark);
      else await this.#readOnOrEnd();
      return isUpdated;
    });
  }

  /**
   * Reads the session again, and drops the changes since the last save.
   *
   * @returns false when the session has ended
   * @example
   * ```ts in-request
   * if (!(await session.reload())) console.log("logged out meanwhile");
   * ```
   */
  reload(): Promise<boolean> {
    return this.#inOrder(async () => {
      if (this.#stored === undefined) {
        this.#draft.reset({});
        return !this.#hasEnded;
      }
      const { token } = this.#stored;
      const session = await this.#options.manager.get(token, { touch: false, client: this.#client() });
      if (session === undefined) {
        this.#end();
        return false;
      }
      this.#stored = { token, session };
      this.#draft.reset(session.data);
      return true;
    });
  }

  /**
   * Gives the session a new token, after a login or a change of privilege. User, data and the changes of this request are
   * written in the same step.
   *
   * After a login there is always a session: if the loaded one has ended, a new one begins, without its data. A login
   * restarts the absolute deadline. `idleTimeout`, `absoluteTimeout` and `persistent` are for "remember me".
   *
   * Of several requests at once, one regenerates. Within the `regenerationGrace` the others go on reading: true, and
   * `isSuperseded`.
   *
   * @returns false when the session has ended, and no `userId` makes this a login
   * @throws SessionError `LIMIT_REACHED` under the policy `reject`: the session stays as it was; `NOT_SUPPORTED` when the
   * response has begun, because the client could not be sent the new token
   * @example
   * ```ts in-request
   * await session.regenerate({ userId: "42", authenticated: true, keep: ["cart"] });
   * ```
   * @example
   * ```ts in-request
   * const rememberMe = { idleTimeout: "30d", absoluteTimeout: "60d", persistent: true } as const;
   * await session.regenerate({ userId: "42", authenticated: true, ...rememberMe });
   * ```
   */
  regenerate(given: RegenerateInput<Data> = {}): Promise<boolean> {
    return this.#write(async () => {
      checkRegenerate(given);
      const { keep = true, beginIfEnded = (given.userId ?? undefined) !== undefined, ...input } = given;
      let mark = this.#draft.snapshot();
      const update = (data: object): object => {
        mark = this.#draft.snapshot();
        return pick(this.#draft.applyTo(data, mark), keep);
      };
      const change = keep === true && !this.#draft.isChanged ? input : { ...input, update };
      const renamed = this.#stored && (await this.#rename(this.#stored, change));
      if (renamed === undefined && (await this.#readOn(input.userId))) return true;
      const session = renamed ?? (await this.#beginAnew(update, input, beginIfEnded));
      if (session !== undefined) this.#draft.rebase(session.data, mark);
      return session !== undefined;
    });
  }

  /**
   * Whether the user proved their identity at most `maxAge` ago: `Session.isFresh`.
   *
   * @example
   * ```ts in-request
   * if (!session.isFresh("10m")) console.log("ask for the password again");
   * ```
   */
  isFresh(maxAge: Duration): boolean {
    return this.#stored?.session.isFresh(maxAge) ?? false;
  }

  /**
   * Ends the session, and makes the client forget its token with this response.
   *
   * @returns false when it had ended already
   * @example
   * ```ts in-request
   * await session.destroy();
   * console.log(session.hasEnded, session.data); // true {}
   * ```
   */
  destroy(): Promise<boolean> {
    return this.#write(async () => {
      const wasLive = this.#stored !== undefined && (await this.#options.manager.destroy(this.#stored.token));
      this.#end();
      this.#delivery.schedule("removal");
      return wasLive;
    });
  }

  /**
   * With a message: leaves it for the next request that asks for this kind, such as the request after a redirect. Without:
   * removes and returns the waiting messages. Messages are session data under the key `flash`.
   *
   * @example
   * ```ts in-request
   * session.flash("info", "saved");
   * console.log(session.flash("info")); // ["saved"]
   * ```
   */
  flash(kind: string, message: string): void;
  flash(kind: string): readonly string[];
  flash(kind: string, message?: string): readonly string[] | undefined {
    if (message === undefined) return takeFlash(this.#draft.data, kind);
    leaveFlash(this.#draft.data, kind, message);
    return undefined;
  }

  /**
   * Lists the live sessions of this session's user, oldest first. Returns `[]` for an anonymous session.
   *
   * @example
   * ```ts in-request
   * for (const { id, current, lastActiveAt } of await session.listMine()) console.log(id, current, lastActiveAt);
   * ```
   */
  async listMine(): Promise<UserSession[]> {
    const { id, userId } = this;
    if (userId === undefined) return [];
    const sessions = await withHttpErrors(this.#options.manager.listByUser(userId));
    return sessions.map((session) => ({ ...session.toJSON(), current: session.id === id }));
  }

  /**
   * Ends a session of this user by its id; it may be this one.
   *
   * @returns false when the user has no such session
   * @example
   * ```ts in-request
   * await session.regenerate({ userId: "42" });
   * const [oldest] = await session.listMine();
   * if (oldest) await session.destroyMine(oldest.id);
   * ```
   */
  async destroyMine(id: string): Promise<boolean> {
    if (id === this.id) return this.destroy();
    const sessions = await this.listMine();
    if (!sessions.some((session) => session.id === id)) return false;
    return withHttpErrors(this.#options.manager.destroyById(id));
  }

  /**
   * Ends all sessions of this user except this one.
   *
   * @returns their ids
   * @example
   * ```ts in-request
   * await session.destroyOthers(); // after a change of password
   * ```
   */
  async destroyOthers(): Promise<string[]> {
    const { id, userId } = this;
    if (userId === undefined) return [];
    return withHttpErrors(this.#options.manager.byId.destroyByUser(userId, { except: id }));
  }

  /**
   * Saves the changes and puts a new token on the response. The bridge does this at the end of each request; call it only
   * for a response that bypasses the framework, before its head is sent.
   *
   * A save that fails is not tried again for the response that reports the failure. A token of a session that is already
   * stored is still sent.
   */
  async commit(response: Response): Promise<void> {
    this.#delivery.expect(response);
    try {
      if (!this.#hasFailed && (this.#isDirty || this.#writes.isBusy)) await this.#inOrder(() => this.#saveChanges());
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    } finally {
      // After the save: a token must not reach the client before its session is stored.
      this.#delivery.deliver(response);
    }
  }

  /**
   * @internal Ends the request for a bridge: {@link commit} if there is anything to save or send.
   *
   * @returns `undefined` when there is nothing to wait for
   */
  finish(response: Response): Promise<void> | undefined {
    this.#delivery.expect(response);
    const isDue = this.#delivery.isPending || this.#writes.isBusy || this.#isDirty;
    this.#draft.onUse = this.#onLateUse;
    return isDue ? this.commit(response) : undefined;
  }

  /** The application uses the data after the bridge has saved it. A change is lost unless a `save` follows. */
  readonly #onLateUse = (): void => {
    this.#draft.onUse = undefined;
    this.#delivery.whenClosed(() => {
      const isLost = this.#draft.isChanged && !this.#hasEnded && !this.#hasFailed && this.#readOnlyReason === undefined;
      if (isLost) warnOfLostChanges(this.#options.framework.packageName);
    });
  };

  get #isDirty(): boolean {
    if (this.#hasEnded || this.#readOnlyReason !== undefined) return false;
    if (this.#stored !== undefined) return this.#draft.isChanged;
    return this.#options.saveUninitialized || !this.#draft.isEmpty;
  }

  async #saveChanges(): Promise<boolean> {
    // A save that the application did not await may have saved them meanwhile.
    if (!this.#isDirty) return true;
    if (this.#stored === undefined) return this.#saveNew();
    const data = this.#draft.snapshot();
    const status = await this.#stored.session.save(data, { base: this.#draft.base });
    const isSaved = status === "saved" || status === "unchanged";
    if (isSaved) this.#draft.saved(data);
    else if (status === "superseded") await this.#readOnOrEnd();
    else this.#end();
    return isSaved;
  }

  async #saveNew(): Promise<boolean> {
    const data = this.#draft.snapshot();
    const session = await this.#begin(data);
    if (session !== undefined) this.#draft.saved(data);
    return session !== undefined;
  }

  /**
   * Begins the first session of this request.
   *
   * @returns `undefined` for a late request, whose token another one has regenerated: its cookie would replace the newer one
   */
  async #begin(data: object): Promise<Session<object> | undefined> {
    const { byId } = this.#options.manager;
    const id = this.#presented && tokenToId(this.#presented);
    if (id === undefined || !(await byId.isMoved(id))) return this.#create(data);
    byId.reportMoved(id);
    this.#end();
    return undefined;
  }

  async #create(
    data: object,
    login: Omit<CreateInput<object>, "data" | "client" | "metadata"> = {},
  ): Promise<Session<object>> {
    this.#delivery.requireHead();
    const { manager, metadata } = this.#options;
    const origin = { client: this.#client(), metadata: metadata(this.#request) };
    return this.#adopt(await manager.create({ data: { ...data }, ...login, ...origin }));
  }

  async #rename({ token }: TokenSession<object>, input: RenameInput<object>): Promise<Session<object> | undefined> {
    this.#delivery.requireHead();
    // The type of the data concerns the application only: for the manager it is JSON.
    const change = { ...(input as RenameInput<SessionData>), client: this.#client(), leaveMark: true };
    const fresh = await this.#options.manager.regenerate(token, change);
    return fresh && this.#adopt(fresh);
  }

  /** Begins a session in place of the loaded one, which has ended, for a login; or the first one of this request. */
  async #beginAnew(
    update: (data: object) => object,
    input: RenameInput<Data>,
    beginIfEnded: boolean,
  ): Promise<Session<object> | undefined> {
    const { userId, authenticated, idleTimeout, absoluteTimeout, persistent } = input;
    if (!beginIfEnded) {
      if (this.isNew) return this.#begin(update({}));
      this.#end();
      return undefined;
    }
    const lifetimes = { idleTimeout, absoluteTimeout, persistent };
    return this.#create(update({}), { userId: userId ?? undefined, authenticated, ...lifetimes });
  }

  /** Continues with a session that has just got a token. */
  #adopt(stored: TokenSession<object>): Session<object> {
    if (this.#hasEnded) this.#draft = new Draft({});
    this.#hasEnded = false;
    this.#stored = stored;
    this.#delivery.schedule(stored);
    return stored.session;
  }

  /**
   * Continues with the session as it is read by its old token, within the grace. Drops the changes of this request.
   *
   * @param userId - the user that the request wants the session to have
   * @returns false when there is no such session of this user
   */
  async #readOn(userId: UserId | null | undefined = this.userId): Promise<boolean> {
    if (this.#stored === undefined || userIdText(userId) !== this.userId) return false;
    const { token, session } = this.#stored;
    const current = await this.#options.manager.get(token, { touch: false, client: this.#client() });
    if (!current?.isSuperseded || current.userId !== session.userId) return false;
    this.#stored = { token, session: current };
    this.#draft.reset(current.data);
    return true;
  }

  async #readOnOrEnd(): Promise<void> {
    if (!(await this.#readOn())) this.#end();
  }

  #end(): void {
    this.#hasEnded = true;
    this.#stored = undefined;
    this.#delivery.schedule(undefined);
    this.#draft.reset({});
    this.#refuseChanges("the session has ended");
  }

  #refuseChanges(reason: string): void {
    this.#draft.refuseChanges(`${this.#options.framework.packageName}: ${reason}, so its data cannot be changed`);
  }

  #client(): RequestClient<Request> {
    return new RequestClient(this.#options.framework, this.#request);
  }

  #write<T>(write: () => Promise<T>): Promise<T> {
    if (this.#readOnlyReason === undefined) return this.#inOrder(write);
    const message = `${this.#options.framework.packageName}: ${this.#readOnlyReason}`;
    return Promise.reject(new SessionError("NOT_SUPPORTED", message));
  }

  #inOrder<T>(write: () => Promise<T>): Promise<T> {
    return withHttpErrors(this.#writes.run(write));
  }
}

const checkRegenerate = inputCheck<RegenerateInput<object>>("regenerate", {
  keep: true,
  beginIfEnded: true,
  userId: true,
  grace: true,
  authenticated: true,
  idleTimeout: true,
  absoluteTimeout: true,
  persistent: true,
  signal: true,
  timeoutMs: true,
});

function pick(data: object, keep: boolean | readonly PropertyKey[]): object {
  if (keep === true) return data;
  const keys = keep === false ? [] : keep;
  return Object.fromEntries(Object.entries(data).filter(([key]) => keys.includes(key)));
}
