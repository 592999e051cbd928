import type { SessionState } from "../content/content.js";
import { diffKeys, isUnchanged } from "../content/merge.js";
import type { CallOptions } from "../contract/call.js";
import type { EventHub } from "./events.js";
import type { SaveOptions, SessionWriter, WriteOutcome } from "./session.js";

/**
 * For a session that was read by the token that it had before its regeneration: it may be read and ended, and not written,
 * nor kept alive. Whoever holds the old token may be who the regeneration was meant to lock out.
 */
export class SupersededWriter implements SessionWriter {
  readonly isSuperseded = true;
  readonly #writer: SessionWriter;
  readonly #events: EventHub;

  constructor(writer: SessionWriter, events: EventHub) {
    this.#writer = writer;
    this.#events = events;
  }

  update(state: SessionState): Promise<WriteOutcome> {
    return this.#refuse(state);
  }

  /** A save that changes nothing is dropped in silence, as {@link touch} is: frameworks save at the end of each request. */
  async save(state: SessionState, data: object, { base, userId }: SaveOptions): Promise<WriteOutcome> {
    const isNothing = userId === undefined && isUnchanged(diffKeys(base ?? state.content.data, data));
    return isNothing ? { status: "unchanged", state } : this.#refuse(state);
  }

  async touch(state: SessionState): Promise<WriteOutcome> {
    return { status: "unchanged", state };
  }

  isTouchDue(): boolean {
    return false;
  }

  destroy(id: string, options: CallOptions): Promise<boolean> {
    return this.#writer.destroy(id, options);
  }

  async #refuse(state: SessionState): Promise<WriteOutcome> {
    this.#events.emit("conflict", { id: state.id, userId: state.userId, reason: "superseded" });
    return { status: "superseded", state };
  }
}
