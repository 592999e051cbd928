import { type Callback, callbackify, SessionError } from "@sojourn/core/bridge";
import type { Request, Response } from "express";
import { packageName } from "./framework.js";
import type { Habits } from "./options.js";
import { type Next, type RequestSession, RequestSlot, type Show, type SlotOrigin } from "./request-slot.js";

type Values = Record<string | symbol, unknown>;

/** The cookie of a session, for code that reads it. Its attributes are options of the middleware, and cannot be assigned. */
export interface HabitCookie {
  readonly originalMaxAge: number | undefined;
  /** Milliseconds until the session ends if it is not used again. */
  readonly maxAge: number | undefined;
  readonly expires: Date | undefined;
  readonly httpOnly: true;
  readonly secure: boolean;
  readonly sameSite: "lax" | "strict" | "none";
  readonly path: string;
  readonly domain: string | undefined;
}

/** Calls back, or returns a promise. An error that no one waits for is an `error` event of the manager. */
export interface HabitCall {
  (done: Callback): void;
  (): Promise<void>;
}

/** The members of a session with `habits`. */
export interface HabitMembers {
  /** The storage id, which is no credential. `undefined` while the session is not stored. */
  readonly id: string | undefined;
  readonly cookie: HabitCookie;
  readonly save: HabitCall;
  /** Begins a new session, without data and user, which takes the place of the old one when it is saved. */
  readonly regenerate: HabitCall;
  readonly destroy: HabitCall;
  /** Reads the session again, and drops the changes since the last save. An error if it has ended. */
  readonly reload: HabitCall;
  /** Does nothing: each request extends its session. */
  touch(): void;
}

/** `req.session` with `habits`: the session data as properties, and the members of express-session's sessions. */
export type HabitSession<Data extends object> = {
  -readonly [Key in keyof Data]?: Data[Key] | undefined;
} & HabitMembers;

/** The session of one request, as code for express-session expects it. */
export class HabitSlot extends RequestSlot {
  readonly #habits: Habits;
  #show: Show = () => undefined;
  #shown: HabitProxy | undefined;
  #isRegenerating = false;
  #hasFailed = false;

  constructor(origin: SlotOrigin, request: Request, response: Response, next: Next, habits: Habits) {
    super(origin, request, response, next);
    this.#habits = habits;
  }

  override begin(show: Show): Promise<void> | undefined {
    this.#show = show;
    const session = this.openNow();
    return session instanceof Promise ? session.then((loaded) => this.#begin(loaded)) : this.#begin(session);
  }

  #begin(session: RequestSession<object>): Promise<void> | undefined {
    this.#replace(session);
    if (!this.#habits.saveUninitialized || !session.isNew) return undefined;
    // Code for express-session finds an id in each session that is going to be stored.
    return session.save().then(() => undefined);
  }

  override finish(response: Response): Promise<void> | undefined {
    const session = this.loaded;
    if (session === undefined || this.#hasFailed) return undefined;
    if (session.hasEnded || !this.#isDue(session)) return session.finish(response);
    return this.#settle(session).then(
      () => session.finish(response),
      (error: unknown) => {
        this.#hasFailed = true;
        throw error;
      },
    );
  }

  /** A session without data that a request has regenerated and not saved, as at a logout, ends. */
  async #settle(session: RequestSession<object>): Promise<void> {
    const isEmpty = Object.values(session.data).every((value) => value === undefined);
    if (!isEmpty) await this.#save(session);
    else if (!session.isNew) await session.destroy();
  }

  /** Whether more is to be done than to save the data. */
  #isDue(session: RequestSession<object>): boolean {
    return this.#isRegenerating || this.#isOtherUser(session);
  }

  #isOtherUser(session: RequestSession<object>): boolean {
    const { userId } = this.#habits;
    return userId !== undefined && textOf(userId(session.data)) !== session.userId;
  }

  async #save(session: RequestSession<object>): Promise<void> {
    if (!this.#isDue(session)) {
      await session.save();
      return;
    }
    const userId = textOf(this.#habits.userId?.(session.data)) ?? null;
    // The keys of the old session that another request has added meanwhile do not belong to the new one.
    const keep = this.#isRegenerating ? (Object.keys(session.data) as never[]) : true;
    await session.regenerate({ userId, keep });
    this.#isRegenerating = false;
  }

  #replace(session: RequestSession<object>): void {
    this.#shown?.detach();
    this.#shown = new HabitProxy(session, this.#membersOf(session));
    this.#show(this.#shown.proxy);
  }

  #membersOf(session: RequestSession<object>): HabitMembers {
    const { cookie } = this.#habits;
    return {
      get id() {
        return session.id;
      },
      get cookie() {
        return cookieOf(session, cookie);
      },
      save: (done?: Callback) => callbackify(this.#save(session), done),
      regenerate: (done?: Callback) => callbackify(this.#regenerate(session), done),
      destroy: (done?: Callback) => callbackify(this.#destroy(session), done),
      reload: (done?: Callback) => callbackify(this.#reload(session), done),
      touch: () => undefined,
    };
  }

  async #regenerate(session: RequestSession<object>): Promise<void> {
    // The old object keeps its data: Passport copies from it.
    this.#replace(session);
    const data = session.data as Values;
    for (const key of Object.keys(data)) delete data[key];
    this.#isRegenerating = !session.isNew;
  }

  async #destroy(session: RequestSession<object>): Promise<void> {
    this.#show(undefined);
    await session.destroy();
  }

  async #reload(session: RequestSession<object>): Promise<void> {
    const isLive = await session.reload();
    this.#isRegenerating = false;
    if (!isLive) throw new Error(`${packageName}: the session to reload has ended`);
  }
}

/** An object whose properties are the session data. */
class HabitProxy implements ProxyHandler<object> {
  readonly proxy: object = new Proxy({}, this);
  readonly #session: RequestSession<object>;
  readonly #members: HabitMembers;
  #copy: Values | undefined;

  constructor(session: RequestSession<object>, members: HabitMembers) {
    this.#session = session;
    this.#members = members;
  }

  /** From now on it shows the data of this moment. */
  detach(): void {
    this.#copy = { ...this.#session.data };
  }

  get(_target: object, key: string | symbol): unknown {
    return Object.hasOwn(this.#members, key) ? Reflect.get(this.#members, key) : this.#data[key];
  }

  set(_target: object, key: string | symbol, value: unknown): boolean {
    if (!Object.hasOwn(this.#members, key)) return Reflect.set(this.#data, key, value);
    throw new TypeError(`${packageName}: "${String(key)}" is a member of the session, and no name for data`);
  }

  has(_target: object, key: string | symbol): boolean {
    return Object.hasOwn(this.#members, key) || key in this.#data;
  }

  deleteProperty(_target: object, key: string | symbol): boolean {
    return Reflect.deleteProperty(this.#data, key);
  }

  defineProperty(_target: object, key: string | symbol, descriptor: PropertyDescriptor): boolean {
    return Reflect.defineProperty(this.#data, key, descriptor);
  }

  ownKeys(): (string | symbol)[] {
    return Reflect.ownKeys(this.#data);
  }

  getOwnPropertyDescriptor(_target: object, key: string | symbol): PropertyDescriptor | undefined {
    return Reflect.getOwnPropertyDescriptor(this.#data, key);
  }

  get #data(): Values {
    return this.#copy ?? (this.#session.data as Values);
  }
}

function cookieOf({ stored }: RequestSession<object>, options: Habits["cookie"]): HabitCookie {
  const { secure = true, sameSite = "lax", path = "/", domain } = options;
  const maxAge = stored?.remainingMs;
  const expires = stored && new Date(stored.expiresAt);
  const attributes = {
    originalMaxAge: maxAge,
    maxAge,
    expires,
    httpOnly: true,
    secure,
    sameSite,
    path,
    domain,
  } as const;
  return new Proxy(attributes, refuseCookieChange);
}

const refuseCookieChange: ProxyHandler<HabitCookie> = {
  set(_cookie, key) {
    const instead =
      "set it in the option, or write (await sessionOf(req, manager)).regenerate({ persistent, idleTimeout })";
    throw new SessionError("NOT_SUPPORTED", `${packageName}: cookie.${String(key)} cannot be assigned: ${instead}`);
  },
};

function textOf(userId: string | number | bigint | null | undefined): string | undefined {
  return userId === null || userId === undefined ? undefined : String(userId);
}
