import { setTimeout as delay } from "node:timers/promises";
import type { SessionState } from "../content/content.js";
import { SessionError } from "../contract/errors.js";
import type { SessionRecord } from "../contract/store.js";
import type { Contents } from "./contents.js";
import type { WriteReports } from "./write-reports.js";

/** Each failed attempt means that another writer succeeded. A hundred in a row is a hot spot that needs another design. */
export const maxAttempts = 100;

/** The session as it stands after another writer was faster, or the reason to give up. */
export type AfterConflict = SessionState | "ended" | "changedUser";

/** Decides how a write goes on after a conflict. */
export class Conflicts {
  readonly #contents: Contents;
  readonly #reports: WriteReports;

  constructor(contents: Contents, reports: WriteReports) {
    this.#contents = contents;
    this.#reports = reports;
  }

  /**
   * Reads the record that won.
   *
   * @param base - the session as it was loaded for this write
   * @param userId - the user that this write sets
   */
  async read(
    base: SessionState,
    record: SessionRecord,
    userId: string | null | undefined,
    operation: string,
  ): Promise<AfterConflict> {
    const current = await this.#contents.readOrMissing(record, operation);
    if (current === undefined) return "ended";
    if (!hasChangedUser(base, current, userId)) return current;
    this.#reports.conflict(current, "changedUser");
    return "changedUser";
  }

  /** Reports the conflict and waits before the next attempt. */
  async retry(state: SessionState, attempt: number): Promise<void> {
    this.#reports.conflict(state, "retried");
    // The first attempts follow at once. Later ones spread, so that many writers of one session do not keep step.
    if (attempt > 3) await delay(Math.random() * Math.min(2 ** (attempt - 3), 50));
  }

  /** Reports that the write gives up, and returns the error for the caller. */
  refuse(state: SessionState, reason: string): SessionError {
    this.#reports.conflict(state, "refused");
    return new SessionError("CONFLICT", `@sojourn/core: session ${state.id} ${reason}`);
  }
}

/**
 * Whether the stored session belongs to another user than the session loaded: this write must then be dropped. A
 * session that was loaded as anonymous, and that this write gives to one user, has changed hands when it belongs to
 * another user by now.
 */
function hasChangedUser(base: SessionState, current: SessionState, userId: string | null | undefined): boolean {
  if (base.userId !== undefined) return base.userId !== current.userId;
  return typeof userId === "string" && current.userId !== undefined && current.userId !== userId;
}
