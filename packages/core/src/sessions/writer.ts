import {
  assertContent,
  remainingMs,
  type SessionContent,
  type SessionState,
  writtenState,
} from "../content/content.js";
import { applyKeys, diffKeys, isUnchanged } from "../content/merge.js";
import type { CallOptions } from "../contract/call.js";
import type { NewSession, SessionRecord } from "../contract/store.js";
import { type AfterConflict, Conflicts, maxAttempts } from "./conflicts.js";
import type { SaveOptions, TouchInput, UpdateFunction, Write, WriteOptions } from "./inputs.js";
import { type ConflictPolicy, requirePolicy } from "./policies.js";
import type { SessionActions, WriteOutcome } from "./session.js";
import { ownerAfter, userChange } from "./user-change.js";
import type { WriterParts } from "./writer-parts.js";

/**
 * Creates, updates, saves and ends sessions. A write expects the loaded version, and is repeated when another writer
 * was faster.
 */
export class SessionWriter implements SessionActions {
  readonly isSuperseded = false;
  readonly #parts: WriterParts;
  readonly #onConflict: ConflictPolicy;
  readonly #conflicts: Conflicts;

  constructor(parts: WriterParts, onConflict: ConflictPolicy) {
    this.#parts = parts;
    this.#onConflict = onConflict;
    this.#conflicts = new Conflicts(parts.contents, parts.reports);
  }

  /** @returns `undefined` when a live session has this id */
  async create(
    session: Omit<NewSession, "payload">,
    content: SessionContent,
    call: CallOptions,
  ): Promise<SessionState | undefined> {
    const { calls, contents, reports } = this.#parts;
    const { id, userId } = session;
    const encoded = await contents.encode(content, { id, userId });
    const limit = reports.limitFor(userId);
    const result = await calls.create({ ...session, payload: encoded.payload }, { limit }, call);
    if (result.status === "duplicate") return undefined;
    if (result.status === "limitReached") throw reports.limitReached(userId);
    reports.events.emit("created", { id, userId });
    reports.destroyed(result.evicted, userId, "limit");
    return writtenState(result.record, encoded.content);
  }

  touch(state: SessionState, input: TouchInput): Promise<WriteOutcome> {
    return this.#parts.activity.touch(state, input);
  }

  isTouchDue(state: SessionState, input: TouchInput): boolean {
    return this.#parts.activity.isTouchDue(state, input);
  }

  update(base: SessionState, change: UpdateFunction<object>, options: Write<WriteOptions>): Promise<WriteOutcome> {
    return this.#write(base, options, "merge", ({ content }) => change(content.data));
  }

  async save(base: SessionState, data: object, options: Write<SaveOptions>): Promise<WriteOutcome> {
    const { userId, idleMs, shorten = true, signal, timeoutMs, onConflict = this.#onConflict } = options;
    requirePolicy(onConflict);
    assertContent({ ...base.content, data });
    const changes = diffKeys(options.base ?? base.content.data, data);
    const movesUser = userId !== undefined && (userId ?? undefined) !== base.userId;
    if (isUnchanged(changes) && !movesUser) {
      // An explicit `idleMs` applies also when it is shorter than the stored one.
      const input = { idleMs, shorten: idleMs === undefined ? undefined : shorten, signal, timeoutMs };
      const touched = await this.#parts.activity.touch(base, input);
      return touched.status === "saved" ? { ...touched, status: "unchanged" } : touched;
    }
    return this.#write(base, options, onConflict, (current) => {
      const target = onConflict === "overwrite" ? base : current;
      return target === base && options.base === undefined ? data : applyKeys(target.content.data, changes);
    });
  }

  /** Ends a session, also by its old id within the grace: a logout must work while that id still reads. */
  async destroy(id: string, call: CallOptions): Promise<boolean> {
    const { calls, reports, grace } = this.#parts;
    let current: string | undefined = id;
    // The session found may be regenerated again before it is ended; it is then looked up again.
    for (let attempt = 1; current !== undefined && attempt <= maxAttempts; attempt++) {
      const ended = await calls.destroy(current, call);
      if (ended !== undefined) {
        reports.destroyed([current], ended.userId, "destroyed");
        return true;
      }
      current = (await grace?.find(id, call))?.id;
    }
    return false;
  }

  async destroyByUser(userId: string, except: string | undefined, call: CallOptions): Promise<string[]> {
    const ids = await this.#parts.calls.destroyByUser(userId, { except }, call);
    this.#parts.reports.destroyed(ids, userId, "destroyedByUser");
    return ids;
  }

  /**
   * Writes computed data, and repeats after a conflict.
   *
   * @param compute - returns the new data from the stored data; called again after a conflict
   */
  async #write(
    base: SessionState,
    { userId, idleMs = this.#parts.activity.idleMs(base), shorten = true, signal, timeoutMs }: Write<SaveOptions>,
    policy: ConflictPolicy,
    compute: (current: SessionState) => object | Promise<object>,
  ): Promise<WriteOutcome> {
    const { calls, reports } = this.#parts;
    const { id } = base;
    const call = { signal, timeoutMs };
    const limit = reports.limitFor(userId);
    let current = base;
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const data = await compute(current);
      if (data === current.content.data && userId === undefined) return { status: "unchanged", state: current };
      const { payload, content } = await this.#encode(current, data, userId, idleMs);
      const deadline = shorten ? idleMs : Math.max(idleMs, remainingMs(current));
      const change = { payload, idleMs: deadline, ...userChange(userId) };
      const result = await calls.update(id, change, { expectedVersion: current.version, limit }, call);
      switch (result.status) {
        case "updated":
          reports.events.emit("updated", { id, userId: result.record.userId });
          reports.destroyed(result.evicted, result.record.userId, "limit");
          return { status: "saved", state: writtenState(result.record, content) };
        case "missing":
          return { status: await this.#whyMissing(current, call), state: base };
        case "limitReached":
          throw reports.limitReached(userId);
        case "conflict": {
          const next = await this.#afterConflict(base, current, result.current, userId, policy);
          if (typeof next === "string") return { status: next, state: base };
          current = next;
          await this.#conflicts.retry(current, attempt);
        }
      }
    }
    throw this.#conflicts.refuse(current, `was not written: ${maxAttempts} writers were faster`);
  }

  /** Returns the session to write next, or the reason to give up. */
  async #afterConflict(
    base: SessionState,
    current: SessionState,
    stored: SessionRecord,
    userId: string | null | undefined,
    policy: ConflictPolicy,
  ): Promise<AfterConflict> {
    const next = await this.#conflicts.read(base, stored, userId, "update");
    if (next === "ended") this.#parts.reports.conflict(current, "ended");
    if (typeof next === "string" || policy !== "fail") return next;
    throw this.#conflicts.refuse(next, "was written by another writer since it was loaded");
  }

  #encode(current: SessionState, data: object, userId: string | null | undefined, idleMs: number) {
    const context = { id: current.id, userId: ownerAfter(current, userId) };
    // Otherwise the next read would bring the deadline back to the manager's timeout.
    const own = idleMs > this.#parts.activity.idleMs(current) && { idleMs };
    const content = { ...current.content, data, ...own, ...this.#markOf(current, userId) };
    return this.#parts.contents.encode(content, context, current.content);
  }

  /** Marks a session that gains its user without a new token, for {@link SessionContent.gainedUserAs}. */
  #markOf({ id, userId: before }: SessionState, userId: string | null | undefined): Partial<SessionContent> {
    const isGained = this.#parts.grace !== undefined && typeof userId === "string" && userId !== before;
    return isGained ? { gainedUserAs: id } : {};
  }

  /** Tells why a session cannot be written: it has ended, or it lives under another id. */
  async #whyMissing(current: SessionState, call: CallOptions): Promise<"superseded" | "ended"> {
    this.#parts.contents.forget(current.id);
    // While a store renames, the old id may still be read and not be written.
    const isRegenerated = (await this.#parts.grace?.current(current.id, call)) !== undefined;
    const status = isRegenerated ? "superseded" : "ended";
    this.#parts.reports.conflict(current, status);
    return status;
  }
}
