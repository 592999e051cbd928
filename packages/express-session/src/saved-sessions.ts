import { KeyedQueue, type SaveOptions, type Session, SessionError, type SessionManager } from "@sojourn/core";
import type { SessionData } from "express-session";
import { fromStored, lifetimeMs, type StoredCookie, toStored, withoutDrift } from "./cookie.js";
import type { Request, ResolvedOptions } from "./options.js";

/** A session's data as JSON, with its cookie as stored. */
interface StoredData {
  [key: string]: unknown;
  cookie?: StoredCookie;
}

/** Each failed attempt means that a session ended just then. A store that says so for ever is broken. */
const maxAttempts = 100;

/** What is known of an object that came from the store. */
interface Loaded {
  /** The id that it was asked for by; a session that has been regenerated has another one. */
  readonly id: string;
  readonly session: Session;
  /** What the object held when it was last in step with the store: what has changed since is told by this. */
  seen: StoredData;
}

/**
 * The sessions of a manager, in the shape in which express-session holds them.
 *
 * express-session hands back the very object that it was given, so that what was loaded is remembered beside it, and a
 * save can tell what this request changed from what others did.
 */
export class SavedSessions {
  readonly #byId: SessionManager["byId"];
  readonly #userId: (data: StoredData) => string | undefined;
  readonly #metadata: ResolvedOptions["metadata"];
  readonly #loaded = new WeakMap<object, Loaded>();
  /** Writes of one session in the order of the calls, as in `save()` without waiting and then `destroy()`. */
  readonly #inOrder = new KeyedQueue();

  constructor(manager: SessionManager, { userId, metadata }: Pick<ResolvedOptions, "userId" | "metadata">) {
    this.#byId = manager.byId;
    // The application's types say what its sessions hold.
    this.#userId = (data) => userId(data as Partial<SessionData>) ?? undefined;
    this.#metadata = metadata;
  }

  async get(id: string): Promise<SessionData | undefined> {
    const session = await this.#byId.get(id, { touch: false });
    return session && this.#toExpress(id, session);
  }

  async all(): Promise<SessionData[]> {
    const all: SessionData[] = [];
    for await (const session of this.#byId.scan()) all.push(this.#toExpress(session.id, session));
    return all;
  }

  /** Goes on with `built`, the object that express-session made of `data`. */
  rebind(data: object, built: object): void {
    const loaded = this.#loaded.get(data);
    if (loaded === undefined) return;
    // express-session hides keys such as "id" and "save": what a request cannot see it has not deleted.
    const visible = new Set(Object.keys(built));
    const seen = Object.fromEntries(Object.entries(loaded.seen).filter(([key]) => visible.has(key)));
    this.#loaded.set(built, { ...loaded, seen });
  }

  async save(id: string, express: SessionData): Promise<void> {
    const data = snapshot(express);
    const idleMs = this.#idleMs(express);
    await this.#inOrder.run(id, async () => {
      const loaded = this.#find(id, express);
      if (idleMs <= 0) await this.#byId.destroy(id);
      else if (loaded !== undefined) await this.#merge(loaded, data, idleMs);
      else await this.#createOrWrite(id, express, data, idleMs);
    });
  }

  /** Moves the deadline. Writes nothing of the data but a cookie that has changed. */
  async touch(id: string, express: SessionData | undefined): Promise<void> {
    const { cookie } = snapshot({ cookie: express?.cookie });
    const idleMs = this.#idleMs(express);
    await this.#inOrder.run(id, async () => {
      if (idleMs <= 0) return void (await this.#byId.destroy(id));
      const found = this.#find(id, express);
      const loaded = found ?? (await this.#load(id));
      if (loaded === undefined) return;
      const { session, seen } = loaded;
      if (cookie !== undefined && !isSame(cookie, seen.cookie)) await this.#merge(loaded, { ...seen, cookie }, idleMs);
      // A request that left the cookie as it was brings no deadline nearer that another request has moved away.
      else await session.touch({ idleMs, shorten: found === undefined });
    });
  }

  async destroy(id: string): Promise<void> {
    await this.#inOrder.run(id, () => this.#byId.destroy(id));
  }

  /** A copy of a session's data that the caller may change and hand back. */
  #toExpress(id: string, session: Session): SessionData {
    const data: StoredData = JSON.parse(JSON.stringify(session.data));
    const { cookie } = data;
    const express = isObject(cookie) ? { ...data, cookie: fromStored(cookie, session.remainingMs) } : data;
    this.#loaded.set(express, { id, session, seen: session.data });
    // The application's types say what its sessions hold.
    return express as unknown as SessionData;
  }

  /** Writes what has changed in an object since it was in step with the store. Of a session that has ended, nothing. */
  async #merge(loaded: Loaded, data: StoredData, idleMs: number): Promise<void> {
    const { session, seen } = loaded;
    const cookie = data.cookie && withoutDrift(data.cookie, seen.cookie);
    const steady = cookie === undefined ? data : { ...data, cookie };
    const userId = this.#userId(steady);
    const change = userId === this.#userId(seen) ? {} : { userId: userId ?? null };
    const status = await session.save(steady, { base: seen, idleMs, ...change });
    if (status === "saved" || status === "unchanged") loaded.seen = steady;
  }

  /** Stores an object that did not come from the store. */
  async #createOrWrite(id: string, express: SessionData, data: StoredData, idleMs: number): Promise<void> {
    const request = requestOf(express);
    const userId = this.#userId(data);
    const metadata = request && this.#metadata(request);
    // Of express-session's own two requests made one id, and both keep what they set. What an application sets by itself
    // is all there is.
    const options: SaveOptions = request ? { base: {}, userId } : { onConflict: "overwrite", userId: userId ?? null };
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const created = await this.#byId.create(id, { data, userId, metadata, idleTimeout: idleMs });
      if (created !== undefined && data.cookie !== undefined && !("cookie" in created.data)) {
        // express-session cannot go on with a session that has none.
        await this.#byId.destroy(id);
        throw new SessionError("INVALID_OPTION", '@sojourn/express-session: the schema must keep the key "cookie"');
      }
      const session = created ?? (await this.#byId.get(id, { touch: false, onUnreadable: "fail" }));
      const status = created ? "saved" : await session?.save(data, { ...options, idleMs });
      // Otherwise the session that had the id has ended in between, and the id is free again.
      if (session !== undefined && (status === "saved" || status === "unchanged")) {
        // The application's own object stays its own: setting it once more is meant as the first time.
        if (request !== undefined) this.#loaded.set(express, { id, session, seen: data });
        return;
      }
    }
    const message = `@sojourn/express-session: session ${id} can be neither created nor written`;
    throw new SessionError("CONFLICT", message);
  }

  #find(id: string, express: object | undefined): Loaded | undefined {
    const loaded = express && this.#loaded.get(express);
    return loaded?.id === id ? loaded : undefined;
  }

  async #load(id: string): Promise<Loaded | undefined> {
    const session = await this.#byId.get(id, { touch: false });
    return session && { id, session, seen: session.data };
  }

  #idleMs(express: SessionData | undefined): number {
    return Math.min(lifetimeMs(express?.cookie) ?? this.#byId.idleMs, this.#byId.absoluteMs);
  }
}

/** The data of a session at this moment, as JSON: the request may go on changing the object while it is being saved. */
function snapshot(express: object): StoredData {
  const data = toJson(express);
  if (!isObject(data)) throw new SessionError("ENCODE", "@sojourn/express-session: a session must be an object");
  const { cookie, ...rest } = data;
  // A cookie that is not an object is not one that express-session made: it is none.
  return isObject(cookie) ? { ...data, cookie: toStored(cookie) } : rest;
}

function toJson(value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value) ?? "null");
  } catch (cause) {
    // The first line names what is in the way, and no value.
    const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : "it is not JSON";
    throw new SessionError("ENCODE", `@sojourn/express-session: session data cannot be encoded: ${reason}`, { cause });
  }
}

/** The request of a session that express-session made, which hides it there; an application's own object has none. */
function requestOf(express: object): Request | undefined {
  const property = Object.getOwnPropertyDescriptor(express, "req");
  return property?.enumerable === false ? property.value : undefined;
}

function isSame(cookie: StoredCookie, before: StoredCookie | undefined): boolean {
  return JSON.stringify(withoutDrift(cookie, before)) === JSON.stringify(before);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
