import { setTimeout as delay } from "node:timers/promises";
import { authentication } from "../content/authentication.js";
import type { CodecContext } from "../content/codec.js";
import {
  assertContent,
  type EncodedContent,
  type SessionContent,
  type SessionState,
  storeNow,
  writtenState,
} from "../content/content.js";
import { answerUnreadable, ContentFormat } from "../content/content-format.js";
import { applyKeys, diffKeys, isUnchanged } from "../content/merge.js";
import type { CallOptions } from "../contract/call.js";
import { isSessionError, SessionError } from "../contract/errors.js";
import type { EndedSession, SessionChange, SessionLimit, SessionRecord } from "../contract/store.js";
import { assertTouch } from "../contract/validate.js";
import type { BoundClient } from "./binding.js";
import type { Detection } from "./detection.js";
import type { ConflictReason, DestroyReason, EventHub } from "./events.js";
import { type ConflictPolicy, type ResolvedManagerOptions, requirePolicy } from "./options.js";
import type { RegenerationGrace } from "./regeneration-grace.js";
import type { SaveOptions, SessionWriter, TouchInput, UpdateFunction, WriteOptions, WriteOutcome } from "./session.js";
import type { StoreCalls } from "./store-calls.js";

/** Each failed attempt means that another writer succeeded: a hundred in a row is a hot spot that needs another design. */
const maxAttempts = 100;

/** What a rename changes in the content that was read for it. */
export interface RenameUpdate extends CallOptions {
  readonly base: SessionState;
  readonly change: UpdateFunction<object>;
  readonly authenticated: boolean;
  /** The client that the session is bound to from here on. Absent: it stays bound as it was. */
  readonly boundTo: BoundClient | undefined;
}

/** How loaded sessions are written back: against the version that was loaded, over again as long as others are faster. */
export class SessionWrites implements SessionWriter {
  readonly isSuperseded = false;
  readonly #options: ResolvedManagerOptions;
  readonly #calls: StoreCalls;
  readonly #events: EventHub;
  readonly #format: ContentFormat;
  readonly #detection: Detection;
  readonly #grace: RegenerationGrace | undefined;

  constructor(
    options: ResolvedManagerOptions,
    calls: StoreCalls,
    events: EventHub,
    detection: Detection,
    grace: RegenerationGrace | undefined,
  ) {
    this.#options = options;
    this.#calls = calls;
    this.#events = events;
    this.#format = new ContentFormat(options);
    this.#detection = detection;
    this.#grace = grace;
  }

  /** Writes the activity down when that moves the deadline by `touchAfter`, or nearer where that is allowed. */
  async touch(base: SessionState, { idleMs, shorten, signal }: TouchInput = {}): Promise<WriteOutcome> {
    const { id, userId } = base;
    const ownIdleMs = idleMs ?? this.idleMs(base);
    assertTouch(id, { idleMs: ownIdleMs });
    const now = Math.floor(storeNow(base));
    const expiresAt = Math.min(now + ownIdleMs, base.endsAt);
    if (!this.#isDue(expiresAt - base.expiresAt, ownIdleMs, shorten)) return { status: "unchanged", state: base };
    const touched = await this.#calls.runInOrder(
      "touch",
      id,
      (store) => store.touch(id, { idleMs: ownIdleMs, shorten }),
      { signal },
    );
    if (!touched) return { status: (await this.#isRegenerated(id, { signal })) ? "unchanged" : "ended", state: base };
    this.#events.emit("touched", { id, userId });
    return { status: "saved", state: { ...base, expiresAt, lastActiveAt: now } };
  }

  /** Whether {@link touch} would write, for callers that need not wait where it would not. */
  isTouchDue(base: SessionState, { idleMs = this.idleMs(base), shorten }: TouchInput = {}): boolean {
    return this.#isDue(Math.min(Math.floor(storeNow(base)) + idleMs, base.endsAt) - base.expiresAt, idleMs, shorten);
  }

  update(base: SessionState, change: UpdateFunction<object>, options: WriteOptions): Promise<WriteOutcome> {
    return this.#write(base, options, "merge", ({ content }) => change(content.data));
  }

  async save(base: SessionState, data: object, options: SaveOptions): Promise<WriteOutcome> {
    const { userId, idleMs, shorten = true, signal, onConflict: policy = this.#options.onConflict } = options;
    requirePolicy(policy);
    assertContent({ ...base.content, data });
    const changes = diffKeys(options.base ?? base.content.data, data);
    const movesUser = userId !== undefined && (userId ?? undefined) !== base.userId;
    if (isUnchanged(changes) && !movesUser) {
      // A lifetime that the caller names is meant, also when it is shorter than what is stored.
      const touched = await this.touch(base, { idleMs, shorten: shorten && idleMs !== undefined, signal });
      return touched.status === "saved" ? { ...touched, status: "unchanged" } : touched;
    }
    return this.#write(base, options, policy, (current) => {
      const target = policy === "overwrite" ? base : current;
      return target === base && options.base === undefined ? data : applyKeys(target.content.data, changes);
    });
  }

  /** Writes what `compute` makes of the stored data. */
  async #write(
    base: SessionState,
    { userId, idleMs = this.idleMs(base), shorten = true, signal }: SaveOptions,
    policy: ConflictPolicy,
    compute: (current: SessionState) => object | Promise<object>,
  ): Promise<WriteOutcome> {
    const { id } = base;
    const limit = this.limitFor(userId);
    let current = base;
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const data = await compute(current);
      if (data === current.content.data && userId === undefined) return { status: "unchanged", state: current };
      const context = { id, userId: ownerAfter(current, userId) };
      const { payload, content } = await this.encode(
        { ...current.content, data, ...this.#markOf(current, userId) },
        context,
        current.content,
      );
      const change = {
        payload,
        idleMs: shorten ? idleMs : Math.max(idleMs, remainingMs(current)),
        ...userChange(userId),
      };
      const result = await this.#calls.runInOrder(
        "update",
        id,
        (store) => store.update(id, change, { expectedVersion: current.version, limit }),
        { signal },
      );
      switch (result.status) {
        case "updated":
          this.#events.emit("updated", { id, userId: result.record.userId });
          this.emitDestroyed(result.evicted, result.record.userId, "limit");
          return { status: "saved", state: writtenState(result.record, content) };
        case "missing": {
          this.#format.forget(id);
          const status = (await this.#isRegenerated(id, { signal })) ? "superseded" : "ended";
          this.#conflict(current, status);
          return { status, state: base };
        }
        case "limitReached":
          throw this.limitReached(limit, userId);
        case "conflict": {
          const stored = await this.decodeOrMissing(result.current, "update");
          if (stored === undefined) {
            this.#conflict(current, "ended");
            return { status: "ended", state: base };
          }
          current = stored;
          if (hasChangedUser(base, current, userId)) {
            this.#conflict(current, "changedUser");
            return { status: "changedUser", state: base };
          }
          if (policy === "fail") {
            this.#conflict(current, "refused");
            throw new SessionError(
              "CONFLICT",
              `@sojourn/core: session ${id} was written by somebody else since it was loaded`,
            );
          }
          this.#conflict(current, "retried");
          await backOff(attempt);
        }
      }
    }
    this.#conflict(current, "refused");
    throw tooManyAttempts(id);
  }

  /**
   * Gives a session that was read a new id, with a change of user and data in the same step. What is stored is written
   * anew: a codec may bind it to id and user, and what was proven by a user who is not its own any more is left out.
   *
   * @returns the session under its new id, or `undefined` when there is none, or it has changed hands
   */
  async rename(
    newId: string,
    userId: string | null | undefined,
    update: RenameUpdate,
  ): Promise<SessionState | undefined> {
    const { base, signal } = update;
    const { id } = base;
    const limit = this.limitFor(userId);
    let current = base;
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const { payload, content } = await this.#changeContent(current, newId, userId, update);
      // Activity, as a read is: it brings no deadline nearer.
      const idleMs = Math.max(this.idleMs(current), remainingMs(current));
      const change = { payload, idleMs, ...userChange(userId) };
      const result = await this.#calls.runInOrder(
        "rename",
        id,
        (store) => store.rename(id, newId, change, { limit, expectedVersion: current.version }),
        { signal },
      );
      this.#format.forget(result.status === "renamed" ? id : newId);
      switch (result.status) {
        case "renamed":
          this.#events.emit("regenerated", { id: newId, previousId: id, userId: result.record.userId });
          this.emitDestroyed(result.evicted, result.record.userId, "limit");
          return writtenState(result.record, content);
        case "missing":
          return undefined;
        case "limitReached":
          throw this.limitReached(limit, userId);
        case "duplicate":
          throw new SessionError("CONFLICT", "@sojourn/core: a live session has the new id");
        case "conflict": {
          const stored = await this.decodeOrMissing(result.current, "rename");
          if (stored === undefined) return undefined;
          current = stored;
          if (hasChangedUser(base, current, userId)) {
            this.#conflict(current, "changedUser");
            return undefined;
          }
          this.#conflict(current, "retried");
          await backOff(attempt);
        }
      }
    }
    this.#conflict(current, "refused");
    throw tooManyAttempts(id);
  }

  /** Ends a session, also by an id that it had before a regeneration: a logout must work while that one still reads. */
  async destroy(id: string, options: CallOptions): Promise<boolean> {
    let current: string | undefined = id;
    // What is found may be regenerated once more before it is ended, and is found again.
    for (let attempt = 1; current !== undefined && attempt <= maxAttempts; attempt++) {
      const ended = await this.#destroyNow(current, options);
      if (ended) return true;
      current = (await this.#grace?.find(id, options))?.id;
    }
    return false;
  }

  /** What a write sends, and what every reader will get. */
  encode(content: SessionContent, context: CodecContext, base?: SessionContent): Promise<EncodedContent> {
    return this.#format.encode(content, context, base);
  }

  /** What {@link decode} makes of a record, without waiting, where that is known from before. */
  known(record: SessionRecord): SessionState | undefined {
    return this.#format.known(record);
  }

  /**
   * Reads a record; one that cannot be read becomes an `error` event too.
   *
   * @param isOneOfMany - that nobody has asked for by itself: nothing is kept of it for a later read
   * @throws SessionError `DECODE`
   */
  async decode(record: SessionRecord, operation: string, isOneOfMany = false): Promise<SessionState> {
    try {
      return await this.#format.decode(record, isOneOfMany);
    } catch (error) {
      const { id, userId } = record;
      if (isSessionError(error)) this.#events.emit("error", { error, operation, id, userId });
      // Many at once have one cause, such as a key that is gone.
      if (isSessionError(error, "DECODE")) this.#detection.report("unreadable", undefined, { id, userId });
      throw error;
    }
  }

  /** As {@link decode}, but `undefined` where a session that cannot be read is answered as missing. */
  decodeOrMissing(record: SessionRecord, operation: string): Promise<SessionState | undefined> {
    return answerUnreadable(this.#options.onUnreadable, this.decode(record, operation));
  }

  /** The session's own idle timeout. */
  idleMs({ content }: SessionState): number {
    return content.idleMs ?? this.#options.idleMs;
  }

  /** Only gaining a user is limited. */
  limitFor(userId: string | null | undefined): SessionLimit | undefined {
    return typeof userId === "string" ? this.#options.sessionLimit : undefined;
  }

  /** The limit that refused, as the error that callers see, and as an event. */
  limitReached(limit: SessionLimit | undefined, userId: string | null | undefined): SessionError {
    const user = { userId: userId ?? undefined };
    this.#detection.report("limitReached", user.userId, user);
    return new SessionError("LIMIT_REACHED", `@sojourn/core: the user already has ${limit?.max} sessions, the limit`);
  }

  /** Tells that sessions have ended, and keeps nothing of them: not before, as a read under way would keep it again. */
  emitDestroyed(ids: readonly string[], userId: string | undefined, reason: DestroyReason): void {
    for (const id of ids) {
      this.#format.forget(id);
      this.#events.emit("destroyed", { id, userId, reason });
    }
  }

  /** @param gain - how far the deadline would move, in milliseconds */
  #isDue(gain: number, idleMs: number, shorten?: boolean): boolean {
    const { touchAfterMs: wanted = idleMs } = this.#options;
    // A touch that moves the deadline that far never comes where the whole idle timeout is shorter.
    const touchAfterMs = wanted < idleMs ? wanted : idleMs / 60;
    return gain > 0 ? gain >= touchAfterMs : shorten === true && -gain >= touchAfterMs;
  }

  async #changeContent(
    current: SessionState,
    newId: string,
    userId: string | null | undefined,
    { change, authenticated, boundTo }: RenameUpdate,
  ): Promise<EncodedContent> {
    const owner = ownerAfter(current, userId);
    const mark = authenticated && { authenticated: authentication(owner, storeNow(current) - current.createdAt) };
    const binding = boundTo && { boundTo };
    const { gainedUserAs: _, ...content } = current.content;
    const data = await change(content.data);
    return this.encode({ ...content, ...mark, ...binding, data }, { id: newId, userId: owner }, current.content);
  }

  /** That a session has its user from here on without a new token, for a grace to know. */
  #markOf({ id, userId: before }: SessionState, userId: string | null | undefined): Partial<SessionContent> {
    const isGained = this.#grace !== undefined && typeof userId === "string" && userId !== before;
    return isGained ? { gainedUserAs: id } : {};
  }

  /** Whether a session that cannot be written is one that lives on under another id, or is on its way there. */
  async #isRegenerated(id: string, options: CallOptions): Promise<boolean> {
    // While a store renames, the old id may still be read and not be written.
    return (await this.#grace?.current(id, options)) !== undefined;
  }

  async #destroyNow(id: string, options: CallOptions): Promise<boolean> {
    const ended = await this.#calls.runInOrder("destroy", id, (store) => store.destroy(id), options);
    if (ended !== undefined) this.emitDestroyed([id], ended.userId, "destroyed");
    return ended !== undefined;
  }

  #conflict({ id, userId }: EndedSession, reason: ConflictReason): void {
    this.#events.emit("conflict", { id, userId, reason });
  }
}

/** Milliseconds until a session ends if nothing happens, rounded up. */
function remainingMs(state: SessionState): number {
  return Math.ceil(state.expiresAt - storeNow(state));
}

function userChange(userId: string | null | undefined): SessionChange {
  return userId === undefined ? {} : { userId };
}

function ownerAfter(current: SessionState, userId: string | null | undefined): string | undefined {
  return userId === undefined ? current.userId : (userId ?? undefined);
}

/**
 * The user that was loaded was set, and is not the one stored: what this writer knows belongs to somebody else's session.
 * Or it was loaded anonymous, to become one user's, and is another's by now: nobody gets what is in the other's session.
 */
function hasChangedUser(base: SessionState, current: SessionState, userId: string | null | undefined): boolean {
  if (base.userId !== undefined) return base.userId !== current.userId;
  return typeof userId === "string" && current.userId !== undefined && current.userId !== userId;
}

/** The first attempts follow at once; later ones spread, so that many writers of one session do not keep step. */
async function backOff(attempt: number): Promise<void> {
  if (attempt > 3) await delay(Math.random() * Math.min(2 ** (attempt - 3), 50));
}

function tooManyAttempts(id: string): SessionError {
  return new SessionError(
    "CONFLICT",
    `@sojourn/core: gave up writing session ${id} after ${maxAttempts} faster writers`,
  );
}
