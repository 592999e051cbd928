import {
  type CreateInput,
  type Duration,
  type RenameInput,
  type Session,
  type SessionData,
  SessionError,
  type SessionInfo,
  type TokenSession,
  type UpdateFunction,
} from "@sojourn/core/bridge";
import type { FastifyReply, FastifyRequest } from "fastify";
import { clientOf } from "./client.js";
import { Draft, type SessionDraft } from "./draft.js";
import { replying } from "./errors.js";
import type { ResolvedOptions } from "./options.js";
import { WriteQueue } from "./write-queue.js";

export interface RegenerateInput<Data extends object> extends Omit<RenameInput<Data>, "update" | "client"> {
  /** Whether the data stays, or which keys of it. Default true. */
  readonly keep?: boolean | readonly (keyof Data)[] | undefined;
}

/** One of a user's sessions, for an "active sessions" page. */
export interface UserSession extends SessionInfo {
  /** Whether it is the one that asks. */
  readonly current: boolean;
}

/** The key of the data under which flash messages wait. */
const flashKey = "flash";

/**
 * The session of one request, loaded.
 *
 * What it changes in `data` is saved once, before the reply. Methods that write, and `reload`, keep their order, and reject
 * with a `SessionError`; with the `statusCode` 503 while the backend is away. After a session has ended nothing of it is
 * written, by this request or any other.
 *
 * @typeParam Data - what the sessions hold
 */
export class RequestSession<Data extends object> {
  readonly #options: ResolvedOptions;
  readonly #request: FastifyRequest;
  readonly #isReadOnly: boolean;
  #draft: Draft;
  #stored: TokenSession<object> | undefined;
  #hasEnded = false;
  /** What the reply has yet to tell the client. */
  #delivery: "token" | "removal" | undefined;
  readonly #writes = new WriteQueue();
  #hasFailed = false;

  /** @internal */
  constructor(options: ResolvedOptions, request: FastifyRequest, stored: TokenSession<object> | undefined) {
    this.#options = options;
    this.#request = request;
    this.#stored = stored;
    this.#draft = new Draft(stored?.session.data ?? {});
    this.#isReadOnly = isUpgrade(request);
    if (this.#isReadOnly) this.#draft.freeze();
  }

  /** The storage id: no credential. `undefined` while the session is not stored, and after it has ended. */
  get id(): string | undefined {
    return this.#stored?.session.id;
  }
  get userId(): string | undefined {
    return this.#stored?.session.userId;
  }
  /** When the user has last proven who they are: the `regenerate` with `authenticated: true`. */
  get authenticatedAt(): number | undefined {
    return this.#stored?.session.authenticatedAt;
  }
  /** Whether nothing is stored yet. */
  get isNew(): boolean {
    return this.#stored === undefined && !this.#hasEnded;
  }
  /** Whether this request has destroyed the session, or has seen that it is over. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }
  /** What the session holds. Assign to its keys, or delete them; values from the store are frozen. */
  get data(): SessionDraft<Data> {
    // The type parameter is the caller's word for what the sessions hold.
    return this.#draft.data as SessionDraft<Data>;
  }
  /** The session as the manager sees it: deadlines, metadata, version, and data without what this request has changed. */
  get stored(): Session<Data> | undefined {
    return this.#stored?.session as Session<Data> | undefined;
  }

  /**
   * Saves at once, as the end of the request would: what it has changed, merged into what is stored by then. A session that
   * is new is stored.
   *
   * @returns false when the session has ended, or changed hands, since it was loaded: then nothing is written
   */
  save(): Promise<boolean> {
    return this.#write(async () => {
      if (this.#hasEnded) return false;
      return this.#stored === undefined ? this.#saveNew() : this.#saveChanges();
    });
  }

  /**
   * Reads what is stored, applies what this request has changed and then `change`, and writes; over again when another
   * writer was faster. For counters and lists, which a save would replace as a whole.
   *
   * @returns false when the session has ended or changed hands
   */
  update(change: UpdateFunction<Data>): Promise<boolean> {
    // The store hands it data of the type that the caller says the sessions hold.
    const apply = change as unknown as UpdateFunction<object>;
    return this.#write(async () => {
      if (this.#hasEnded) return false;
      let mark = this.#draft.snapshot();
      if (this.#stored === undefined) {
        const session = await this.#create(await apply(this.#draft.snapshot()));
        this.#draft.rebase(session.data, mark);
        return true;
      }
      const { session } = this.#stored;
      const isUpdated = await session.update((stored) => {
        mark = this.#draft.snapshot();
        return apply(this.#draft.applyTo(stored));
      });
      if (isUpdated) this.#draft.rebase(session.data, mark);
      else this.#end();
      return isUpdated;
    });
  }

  /** Reads the session anew, and forgets what this request has changed since the last save. @returns false when it is over */
  reload(): Promise<boolean> {
    return this.#inOrder(async () => {
      if (this.#stored === undefined) {
        this.#draft.reset({});
        return !this.#hasEnded;
      }
      const client = clientOf(this.#request);
      const session = await this.#options.manager.get(this.#stored.token, { touch: false, client });
      if (session === undefined) {
        this.#end();
        return false;
      }
      this.#stored = { token: this.#stored.token, session };
      this.#draft.reset(session.data);
      return true;
    });
  }

  /**
   * Gives the session a new token, after a login or a change of privilege, with user and data in the same step. What this
   * request has changed so far goes with it.
   *
   * A login always leaves a session: where the one loaded is over, a new one begins, without its data.
   *
   * @returns false when the session is over, and no `userId` says that this is a login
   * @throws SessionError `LIMIT_REACHED` under the policy `reject`: the session stays as it was
   */
  regenerate({ keep = true, ...input }: RegenerateInput<Data> = {}): Promise<boolean> {
    return this.#write(async () => {
      const stored = this.#stored;
      const isLogin = typeof input.userId === "string";
      let mark = this.#draft.snapshot();
      const update = (data: object): object => {
        mark = this.#draft.snapshot();
        return pick(this.#draft.applyTo(data), keep);
      };
      let session =
        stored && (await this.#rename(stored, keep === true && !this.#draft.isChanged ? input : { ...input, update }));
      if (session === undefined) {
        const isOver = stored !== undefined || this.#hasEnded;
        if (isOver && !isLogin) {
          this.#end();
          return false;
        }
        const { userId, authenticated } = input;
        session = await this.#create(update({}), { userId: userId ?? undefined, authenticated });
      }
      this.#draft.rebase(session.data, mark);
      return true;
    });
  }

  /** Whether the user has proven who they are no longer than `maxAge` ago: as `Session.isFresh`. */
  isFresh(maxAge: Duration): boolean {
    return this.#stored?.session.isFresh(maxAge) ?? false;
  }

  /** Ends the session, and makes the client forget its token with this reply. @returns false when it was over already */
  destroy(): Promise<boolean> {
    return this.#write(async () => {
      const wasLive = this.#stored !== undefined && (await this.#options.manager.destroy(this.#stored.token));
      this.#end();
      this.#delivery = "removal";
      return wasLive;
    });
  }

  /**
   * Leaves a message for the next request that asks for this kind, such as the one that follows a redirect; without a
   * message, takes those that wait. They are data under the key `flash`, saved as such.
   */
  flash(kind: string, message: string): void;
  flash(kind: string): readonly string[];
  flash(kind: string, message?: string): readonly string[] | undefined {
    const { data } = this.#draft;
    const all = new Map(Object.entries((data[flashKey] ?? {}) as Record<string, readonly string[]>));
    const waiting = all.get(kind) ?? [];
    if (message === undefined && waiting.length === 0) return waiting;
    if (message === undefined) all.delete(kind);
    else all.set(kind, [...waiting, message]);
    data[flashKey] = all.size === 0 ? undefined : Object.fromEntries(all);
    return message === undefined ? waiting : undefined;
  }

  /** The live sessions of this session's user, oldest first. Of an anonymous one, none. */
  async listMine(): Promise<UserSession[]> {
    const { id, userId } = this;
    if (userId === undefined) return [];
    const sessions = await replying(this.#options.manager.listByUser(userId));
    return sessions.map((session) => ({ ...session.toJSON(), current: session.id === id }));
  }

  /** Ends one of this user's sessions by its id, also this one. @returns false when the user has no such session */
  async destroyMine(id: string): Promise<boolean> {
    if (id === this.id) return this.destroy();
    const sessions = await this.listMine();
    if (!sessions.some((session) => session.id === id)) return false;
    return replying(this.#options.manager.destroyById(id));
  }

  /** Ends this user's sessions but this one. @returns their ids */
  async destroyOthers(): Promise<string[]> {
    const { id, userId } = this;
    if (userId === undefined) return [];
    return replying(this.#options.manager.byId.destroyByUser(userId, { except: id }));
  }

  /**
   * Saves what has changed and puts a new token on the reply, as the end of the request does by itself. For replies that end
   * in their own way: call it before `reply.hijack()`, and send `reply.getHeaders()`.
   */
  async commit(reply: FastifyReply): Promise<void> {
    // The reply that tells of the failure does not fail by it again.
    if (!this.#hasFailed && (this.#isDirty || this.#writes.isBusy)) {
      try {
        await this.#inOrder(() => this.#saveChanges());
      } catch (error) {
        this.#hasFailed = true;
        throw error;
      }
    }
    // Not before it is stored: the client would come back with a token that nobody knows.
    const { transport } = this.#options;
    if (this.#delivery === "removal") transport.remove(reply);
    else if (this.#delivery === "token" && this.#stored !== undefined) transport.send(reply, this.#stored);
    this.#delivery = undefined;
  }

  /** @internal Whether the end of the request has anything to do: not so for one that has only read. */
  get needsCommit(): boolean {
    return this.#delivery !== undefined || this.#writes.isBusy || this.#isDirty;
  }

  get #isDirty(): boolean {
    if (this.#hasEnded || this.#isReadOnly) return false;
    if (this.#stored !== undefined) return this.#draft.isChanged;
    return this.#options.saveUninitialized || !this.#draft.isEmpty;
  }

  async #saveChanges(): Promise<boolean> {
    // What the application did not wait for may have saved them meanwhile.
    if (!this.#isDirty) return true;
    if (this.#stored === undefined) return this.#saveNew();
    const data = this.#draft.snapshot();
    const status = await this.#stored.session.save(data, { base: this.#draft.base });
    const isSaved = status === "saved" || status === "unchanged";
    if (isSaved) this.#draft.saved(data);
    else this.#end();
    return isSaved;
  }

  async #saveNew(): Promise<true> {
    const data = this.#draft.snapshot();
    await this.#create(data);
    this.#draft.saved(data);
    return true;
  }

  async #create(
    data: object,
    login: Pick<CreateInput<object>, "userId" | "authenticated"> = {},
  ): Promise<Session<object>> {
    const { manager, metadata } = this.#options;
    const origin = { client: clientOf(this.#request), metadata: metadata(this.#request) };
    return this.#adopt(await manager.create({ data: { ...data }, ...login, ...origin }));
  }

  async #rename({ token }: TokenSession<object>, input: RenameInput<object>): Promise<Session<object> | undefined> {
    // What the sessions hold is the application's affair: for the manager it is JSON here.
    const change = { ...(input as RenameInput<SessionData>), client: clientOf(this.#request) };
    const fresh = await this.#options.manager.regenerate(token, change);
    return fresh && this.#adopt(fresh);
  }

  /** Goes on with a session that has just been given a token. */
  #adopt(stored: TokenSession<object>): Session<object> {
    if (this.#hasEnded) this.#draft = new Draft({});
    this.#hasEnded = false;
    this.#stored = stored;
    this.#delivery = "token";
    return stored.session;
  }

  #end(): void {
    this.#hasEnded = true;
    this.#stored = undefined;
    this.#delivery = undefined;
    this.#draft.freeze();
    this.#draft.reset({});
  }

  #write<T>(write: () => Promise<T>): Promise<T> {
    if (!this.#isReadOnly) return this.#inOrder(write);
    const message = "@sojourn/fastify: the session of a WebSocket can be read only";
    return Promise.reject(new SessionError("NOT_SUPPORTED", message));
  }

  #inOrder<T>(write: () => Promise<T>): Promise<T> {
    return replying(this.#writes.run(write));
  }
}

function pick(data: object, keep: boolean | readonly PropertyKey[]): object {
  if (keep === true) return data;
  const keys = keep === false ? [] : keep;
  return Object.fromEntries(Object.entries(data).filter(([key]) => keys.includes(key)));
}

/** A WebSocket has no reply to tell of a token, and outlives what it has read: @fastify/websocket marks its requests. */
function isUpgrade(request: FastifyRequest): boolean {
  return "ws" in request && request.ws === true;
}
