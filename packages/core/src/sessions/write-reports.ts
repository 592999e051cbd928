import { SessionError } from "../contract/errors.js";
import type { EndedSession, SessionLimit } from "../contract/store.js";
import type { Contents } from "./contents.js";
import type { Detection } from "./detection.js";
import type { ConflictReason, DestroyReason, EventHub } from "./events.js";

/** Emits the events of a write, and drops the cached contents of the sessions that it ended. */
export class WriteReports {
  readonly events: EventHub;
  readonly #sessionLimit: SessionLimit | undefined;
  readonly #detection: Detection;
  readonly #contents: Contents;

  constructor(events: EventHub, sessionLimit: SessionLimit | undefined, detection: Detection, contents: Contents) {
    this.events = events;
    this.#sessionLimit = sessionLimit;
    this.#detection = detection;
    this.#contents = contents;
  }

  /** Returns the limit for a write that gives a session to a user, and `undefined` for any other write. */
  limitFor(userId: string | null | undefined): SessionLimit | undefined {
    return typeof userId === "string" ? this.#sessionLimit : undefined;
  }

  /** Reports that the limit refused a write, and returns the error for the caller. */
  limitReached(userId: string | null | undefined): SessionError {
    const user = { userId: userId ?? undefined };
    this.#detection.report("limitReached", user.userId, user);
    const max = this.#sessionLimit?.max;
    return new SessionError("LIMIT_REACHED", `@sojourn/core: the user already has ${max} sessions, the limit`);
  }

  /**
   * Reports ended sessions. Call it after the answer of the store: a read under way could otherwise cache a content
   * again.
   */
  destroyed(ids: readonly string[], userId: string | undefined, reason: DestroyReason): void {
    for (const id of ids) {
      this.#contents.forget(id);
      this.events.emit("destroyed", { id, userId, reason });
    }
  }

  conflict({ id, userId }: EndedSession, reason: ConflictReason): void {
    this.events.emit("conflict", { id, userId, reason });
  }
}
