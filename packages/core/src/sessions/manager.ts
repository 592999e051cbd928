import { refuseFrameworks } from "../adapter/foreign-protocol.js";
import { guardStore } from "../adapter/guard-store.js";
import type { SessionData } from "../content/session-data.js";
import type { CallOptions } from "../contract/call.js";
import { asSessionError, SessionError } from "../contract/errors.js";
import type { InputCheck } from "../contract/input-check.js";
import type { SessionStore } from "../contract/store.js";
import type { UserId } from "../contract/user-id.js";
import { sessionsOnly } from "./aliases.js";
import type { ClientOptions } from "./client.js";
import { Detection } from "./detection.js";
import { EventHub, type SessionEvents, type SessionListener } from "./events.js";
import {
  checkDestroy,
  checkDestroyByUser,
  checkGet,
  checkRegenerate,
  checkStats,
  checkTouchByToken,
  checkUpdateByToken,
} from "./input-checks.js";
import type {
  CreateArguments,
  DestroyByUserInput,
  GetOptions,
  RenameInput,
  TouchInput,
  UpdateFunction,
  WriteOptions,
} from "./inputs.js";
import { type ResolvedManagerOptions, resolveManagerOptions, type SessionManagerOptions } from "./options.js";
import type { Session } from "./session.js";
import { SessionsById } from "./sessions-by-id.js";
import { type SessionStatistics, StatisticsCollector } from "./statistics.js";
import { StoreCalls } from "./store-calls.js";
import { Sweeper } from "./sweeper.js";
import { generateToken, isToken, tokenToId } from "./tokens.js";
import type { UserExport } from "./user-export.js";

/** A session together with its token, the secret for its client. The token is returned once and never stored. */
export interface TokenSession<Data extends object> {
  readonly token: string;
  readonly session: Session<Data>;
}

/**
 * Manages sessions by the token that the client holds: the programmatic interface of Sojourn.
 *
 * A missing, expired or malformed token is no error: the answer is `undefined` or `false`, and a malformed one never
 * reaches the store. Every method rejects with the store's errors (`UNAVAILABLE`, `TIMEOUT`, `BACKEND`, `CORRUPT`), and
 * with `ABORTED` or `CLOSED`.
 *
 * @typeParam Data - the type of the sessions' data: an object of JSON values; inferred from `schema`
 * @typeParam Input - the type of the data for `create`: with a schema, keys that have a default may be missing
 * @example
 * ```ts
 * import { SessionManager } from "@sojourn/core";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const manager = new SessionManager<{ cart: string[] }>({ store: new MemoryStore(), idleTimeout: "30m" });
 * manager.on("destroyed", ({ id, reason }) => console.log(id, reason));
 * const { token } = await manager.create({ data: { cart: [] } });
 * console.log((await manager.get(token))?.data.cart); // []
 * ```
 */
export class SessionManager<Data extends object = SessionData, Input extends object = Data> {
  /**
   * The same sessions by their storage ids: for admin pages, and for bridges to frameworks that make their own tokens.
   */
  readonly byId: SessionsById<Data, Input>;

  readonly #options: ResolvedManagerOptions;
  readonly #store: SessionStore;
  readonly #events: EventHub;
  readonly #statistics = new StatisticsCollector();
  readonly #calls: StoreCalls;
  readonly #detection: Detection;
  readonly #sweeper: Sweeper | undefined;
  readonly #unsubscribe: (() => void) | undefined;

  /** @throws SessionError `INVALID_OPTION` */
  constructor(options: SessionManagerOptions<Data, Input>) {
    this.#options = resolveManagerOptions(options);
    const { timeoutMs, sweep, detection, clock } = this.#options;
    const store = guardStore(this.#options.store);
    this.#store = store;
    this.#events = new EventHub(clock);
    this.#calls = new StoreCalls(store, timeoutMs, this.#events, this.#statistics);
    this.#detection = new Detection(detection, clock, this.#events);
    const shared = {
      calls: this.#calls,
      events: this.#events,
      detection: this.#detection,
      statistics: this.#statistics,
    };
    this.byId = new SessionsById(this.#options, shared);
    this.#unsubscribe = store.onEvicted?.((ended) => {
      for (const session of sessionsOnly([ended])) this.#events.emit("destroyed", { ...session, reason: "capacity" });
    });
    if (sweep !== false && store.capabilities.expiry === "sweep") {
      this.#sweeper = new Sweeper({
        ...sweep,
        store,
        onSwept: (sessions) => {
          for (const session of sessionsOnly(sessions)) this.#events.emit("expired", session);
        },
        onError: (cause) => this.#reportSweep(cause),
      }).start();
    }
  }

  /**
   * Creates a session and the token for its client. Without `data` it holds `{}`, which a schema may refuse or complete.
   *
   * @throws SessionError `LIMIT_REACHED` under the policy `reject`, `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`,
   * `INVALID_ARGUMENT`, `INVALID_OPTION` for a timeout; nothing is stored then
   * @example
   * ```ts continued
   * const visitor = await manager.create({ data: { cart: [] }, metadata: { ip: "192.0.2.7" } });
   * console.log(visitor.token.length, visitor.session.userId); // 43 undefined
   * ```
   */
  async create(...input: CreateArguments<Input>): Promise<TokenSession<Data>> {
    const token = generateToken();
    const session = await this.byId.create(tokenToId(token), ...input);
    if (session !== undefined) return { token, session };
    // 256 random bits never repeat by chance.
    throw new SessionError("BACKEND", "@sojourn/core: the store holds a session under a new token's id");
  }

  /**
   * Reads a session. Counts as activity unless `touch` is false.
   *
   * @returns `undefined` when there is no such session
   * @throws SessionError `DECODE`, unless `onUnreadable` says otherwise
   * @example
   * ```ts continued
   * const session = await manager.get(visitor.token, { timeoutMs: 500 });
   * if (session === undefined) throw new Error("not logged in");
   * ```
   */
  get(token: string, options: GetOptions = {}): Promise<Session<Data> | undefined> {
    if (isToken(token)) return this.byId.get(tokenToId(token), options);
    return this.#getMalformed(token, options);
  }

  /**
   * Reads a session, changes its data and writes it. Repeats this while other writers are faster, so that no update is
   * lost.
   *
   * @returns the session as written, or `undefined` when there is none
   * @throws SessionError as {@link Session.update}
   * @example
   * ```ts continued
   * await manager.update(visitor.token, (data) => ({ ...data, cart: [...data.cart, "book"] }));
   * ```
   */
  async update(
    token: string,
    change: UpdateFunction<Data>,
    options: WriteOptions & ClientOptions = {},
  ): Promise<Session<Data> | undefined> {
    checkUpdateByToken(options);
    const session = await this.get(token, readOnly(options));
    const { userId, idleMs, signal, timeoutMs } = options;
    return (await session?.update(change, { userId, idleMs, signal, timeoutMs })) ? session : undefined;
  }

  /**
   * Counts as activity, as a read does.
   *
   * @returns false when there is no such session
   * @example
   * ```ts continued
   * console.log(await manager.touch(visitor.token)); // true
   * ```
   */
  async touch(token: string, options: TouchInput & ClientOptions = {}): Promise<boolean> {
    checkTouchByToken(options);
    const session = await this.get(token, readOnly(options));
    const { idleMs, shorten, signal, timeoutMs } = options;
    return session?.touch({ idleMs, shorten, signal, timeoutMs }) ?? false;
  }

  /**
   * Gives a session a new token, after a login or a change of privilege. Can set the user and change the data in the
   * same step. A login restarts the absolute deadline. The old token is dead, or only reads for the `regenerationGrace`.
   *
   * @returns `undefined` when there is no such session, or when a concurrent call has regenerated it
   * @throws SessionError `LIMIT_REACHED`, `CONFLICT`, `INVALID_DATA`, `ENCODE`, `PAYLOAD_TOO_LARGE`, `INVALID_OPTION` for
   * a timeout; the session then keeps its token
   * @example
   * ```ts continued
   * const login = await manager.regenerate(visitor.token, { userId: "42", authenticated: true });
   * console.log(login?.session.userId, await manager.get(visitor.token)); // 42 undefined
   * ```
   * @example
   * ```ts continued
   * const guest = await manager.create({ data: { cart: [] } });
   * const rememberMe = { idleTimeout: "30d", absoluteTimeout: "60d", persistent: true } as const;
   * await manager.regenerate(guest.token, { userId: "43", authenticated: true, ...rememberMe });
   * ```
   */
  async regenerate(token: string, input: RenameInput<Data> = {}): Promise<TokenSession<Data> | undefined> {
    if (!isToken(token)) return this.#refuse(token, input, checkRegenerate);
    const fresh = generateToken();
    const session = await this.byId.rename(tokenToId(token), tokenToId(fresh), input);
    return session && { token: fresh, session };
  }

  /**
   * Ends a session ("log out").
   *
   * @returns false when there was no live one
   * @example
   * ```ts continued
   * const other = await manager.create({ userId: "42", data: { cart: [] } });
   * console.log(await manager.destroy(other.token)); // true
   * ```
   */
  async destroy(token: string, options: CallOptions = {}): Promise<boolean> {
    if (isToken(token)) return this.byId.destroy(tokenToId(token), options);
    return this.#refuse(token, options, checkDestroy) ?? false;
  }

  /**
   * Ends a session by its id, as an "active sessions" page does. Check first that the session belongs to the user.
   *
   * @returns false when there was no live one
   * @example
   * ```ts continued
   * const phone = await manager.create({ userId: "42", data: { cart: [] } });
   * console.log(await manager.destroyById(phone.session.id)); // true
   * ```
   */
  destroyById(id: string, options: CallOptions = {}): Promise<boolean> {
    return this.byId.destroy(id, options);
  }

  /**
   * Reads the live sessions of a user, oldest first. A session that cannot be read is left out and becomes an `error`
   * event.
   *
   * @example
   * ```ts continued
   * for (const { id, lastActiveAt, metadata } of await manager.listByUser("42")) console.log(id, lastActiveAt, metadata);
   * ```
   */
  listByUser(userId: UserId, options: CallOptions = {}): Promise<Session<Data>[]> {
    return this.byId.listByUser(userId, options);
  }

  /**
   * Reads all stored data of the user's live sessions, for access requests (GDPR article 15): ids, times, metadata and
   * data, as JSON. Unreadable sessions are listed beside the others.
   *
   * @throws SessionError when a session cannot be read at present, for example without its key service: the result
   * would be incomplete
   * @example
   * ```ts continued
   * console.log(JSON.stringify(await manager.exportUser("42")));
   * ```
   */
  exportUser(userId: UserId, options: CallOptions = {}): Promise<UserExport<Data>> {
    return this.byId.exportUser(userId, options);
  }

  /**
   * Ends the sessions of a user ("log out everywhere", or everywhere else).
   *
   * @returns the ids of the live sessions ended
   * @throws SessionError `INVALID_ARGUMENT` when `except` is neither a token nor an id: a mistake must not end all sessions
   * @example
   * ```ts continued
   * await manager.destroyByUser("42", { ...(login && { except: login.token }) }); // log out everywhere else
   * ```
   */
  async destroyByUser(userId: UserId, input: DestroyByUserInput = {}): Promise<string[]> {
    checkDestroyByUser(input);
    const { except, ...call } = input;
    if (except === undefined) return this.byId.destroyByUser(userId, call);
    // An id of this manager has the form of a token, too.
    if (isToken(except))
      return this.byId.destroyByUser(userId, { ...call, except: await this.byId.idOf(except, call) });
    const message = '@sojourn/core: argument "except" must be the token or the id of a session';
    throw new SessionError("INVALID_ARGUMENT", message);
  }

  /**
   * Subscribes to an event. Listeners run synchronously, in order; an error of a listener becomes an `error` event.
   *
   * @returns a function that ends the subscription
   * @example
   * ```ts continued
   * const unsubscribe = manager.on("error", ({ operation, error }) => console.error(operation, error.code));
   * unsubscribe();
   * ```
   */
  on<Name extends keyof SessionEvents>(name: Name, listener: SessionListener<Name>): () => void {
    return this.#events.on(name, listener);
  }

  /**
   * Returns the counts and durations of this manager, and the counts of its store. Counting may take the store long: do
   * not call it for each request.
   *
   * @example
   * ```ts continued
   * const { stored, hits, misses } = await manager.stats();
   * console.log(stored?.sessions, hits, misses);
   * ```
   */
  async stats(options: CallOptions = {}): Promise<SessionStatistics> {
    checkStats(options);
    const { count } = this.#store.capabilities;
    const stored = count ? await this.byId.count(options) : undefined;
    return this.#statistics.snapshot(stored, this.#events.counts);
  }

  /**
   * Ends the sweeping and closes the store. Idempotent; every other method then rejects `CLOSED`.
   *
   * @example
   * ```ts continued
   * await manager.close();
   * ```
   */
  async close(): Promise<void> {
    this.#calls.close();
    this.#unsubscribe?.();
    await this.#sweeper?.stop();
    await this.#store.close();
  }

  /** @internal Reports that a client presented several valid tokens at once, for bridges. */
  reportSeveralTokens({ client }: ClientOptions): void {
    this.#detection.report("severalTokens", client?.ip, { source: client?.ip });
  }

  async #getMalformed(token: unknown, options: GetOptions): Promise<undefined> {
    this.#refuse(token, options, checkGet);
    this.#statistics.misses++;
  }

  /**
   * Treats a value that is no token as a missing session. Client input may be anything; only a mistake of the application is
   * an error.
   */
  #refuse(token: unknown, input: CallOptions & ClientOptions, check: InputCheck): undefined {
    check(input);
    if (token instanceof Promise) {
      throw new SessionError("INVALID_ARGUMENT", '@sojourn/core: the token is a promise; write "await" before it');
    }
    const source = input.client?.ip;
    // A visitor without a cookie is not reported.
    if (token) this.#detection.report("malformedToken", source, { source });
  }

  #reportSweep(cause: unknown): void {
    const error = asSessionError(cause, "@sojourn/core: sweep failed in the store");
    this.#events.emit("error", { error, operation: "sweep" });
  }
}

refuseFrameworks(SessionManager.prototype, "manager");

function readOnly({ client, signal, timeoutMs }: CallOptions & ClientOptions): GetOptions {
  return { touch: false, client, signal, timeoutMs };
}
