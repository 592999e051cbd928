import { authentication } from "../content/authentication.js";
import type { BoundClient } from "../content/bound-client.js";
import {
  type EncodedContent,
  remainingMs,
  type SessionContent,
  type SessionState,
  storeNow,
  writtenState,
} from "../content/content.js";
import type { CallOptions } from "../contract/call.js";
import { SessionError } from "../contract/errors.js";
import { Conflicts, maxAttempts } from "./conflicts.js";
import type { UpdateFunction } from "./inputs.js";
import type { LifetimeInput, Lifetimes } from "./lifetimes.js";
import { ownerAfter, userChange } from "./user-change.js";
import type { WriterParts } from "./writer-parts.js";

/** The changes of a rename beside the new id. */
export interface RenameUpdate {
  readonly userId: string | null | undefined;
  readonly change: UpdateFunction<object>;
  readonly authenticated: boolean;
  readonly lifetimes: LifetimeInput;
  /** The client that the session is bound to afterwards. Absent: the binding stays. */
  readonly boundTo: BoundClient | undefined;
}

/** Gives sessions a new id, with a change of user and data in the same step. */
export class SessionRenamer {
  readonly #parts: WriterParts;
  readonly #conflicts: Conflicts;
  readonly #lifetimes: Lifetimes;

  constructor(parts: WriterParts, lifetimes: Lifetimes) {
    this.#parts = parts;
    this.#lifetimes = lifetimes;
    this.#conflicts = new Conflicts(parts.contents, parts.reports);
  }

  /**
   * Renames a session. Encodes the whole content again, because a codec may bind it to id and user, and because the
   * authentication of another user is removed.
   *
   * @returns the session under its new id, or `undefined` when there is none, or it belongs to another user by now
   */
  async rename(
    base: SessionState,
    newId: string,
    update: RenameUpdate,
    call: CallOptions,
  ): Promise<SessionState | undefined> {
    const { activity, calls, contents, reports } = this.#parts;
    const { id } = base;
    const { userId } = update;
    const limit = reports.limitFor(userId);
    let current = base;
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const { own, absoluteMs, ...renewed } = this.#lifetimes.renew(current, update);
      const { payload, content } = await this.#encode(current, newId, update, own);
      // Counts as activity, as a read does: the deadline moves nearer only by a new idle timeout.
      const idleMs = renewed.idleMs ?? Math.max(activity.idleMs(current), remainingMs(current));
      const change = { payload, idleMs, ...(absoluteMs !== undefined && { absoluteMs }), ...userChange(userId) };
      const result = await calls.rename(id, newId, change, { limit, expectedVersion: current.version }, call);
      contents.forget(result.status === "renamed" ? id : newId);
      switch (result.status) {
        case "renamed":
          reports.events.emit("regenerated", { id: newId, previousId: id, userId: result.record.userId });
          reports.destroyed(result.evicted, result.record.userId, "limit");
          return writtenState(result.record, content);
        case "missing":
          return undefined;
        case "limitReached":
          throw reports.limitReached(userId);
        case "duplicate":
          throw new SessionError("CONFLICT", "@sojourn/core: a live session has the new id");
        case "conflict": {
          const next = await this.#conflicts.read(base, result.current, userId, "rename");
          if (next === "ended" || next === "changedUser") return undefined;
          current = next;
          await this.#conflicts.retry(current, attempt);
        }
      }
    }
    throw this.#conflicts.refuse(current, `was not renamed: ${maxAttempts} writers were faster`);
  }

  async #encode(
    current: SessionState,
    newId: string,
    { userId, change, authenticated, boundTo }: RenameUpdate,
    lifetimes: Partial<SessionContent>,
  ): Promise<EncodedContent> {
    const owner = ownerAfter(current, userId);
    const proof = authenticated && { authenticated: authentication(owner, storeNow(current) - current.createdAt) };
    const binding = boundTo && { boundTo };
    const { gainedUserAs: _, idleMs: __, absoluteMs: ___, persistent: ____, ...content } = current.content;
    const data = await change(content.data);
    const context = { id: newId, userId: owner };
    const renewed = { ...content, ...lifetimes, ...proof, ...binding, data };
    return this.#parts.contents.encode(renewed, context, current.content);
  }
}
