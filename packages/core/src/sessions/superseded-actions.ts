import type { SessionState } from "../content/content.js";
import { diffKeys, isUnchanged } from "../content/merge.js";
import type { CallOptions } from "../contract/call.js";
import type { EventHub } from "./events.js";
import type { SaveOptions, Write } from "./inputs.js";
import type { SessionActions, WriteOutcome } from "./session.js";

/**
 * The actions of a session that was read by its old token after a regeneration. It can be read and ended, but not
 * written or prolonged: the holder of the old token may be the attacker whom the regeneration locks out.
 */
export class SupersededActions implements SessionActions {
  readonly isSuperseded = true;
  readonly #actions: SessionActions;
  readonly #events: EventHub;

  constructor(actions: SessionActions, events: EventHub) {
    this.#actions = actions;
    this.#events = events;
  }

  update(state: SessionState): Promise<WriteOutcome> {
    return this.#refuse(state);
  }

  /**
   * Ignores a save without changes, as {@link touch} does: frameworks save at the end of each request. Any other save
   * is reported.
   */
  async save(state: SessionState, data: object, { base, userId }: Write<SaveOptions>): Promise<WriteOutcome> {
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
    return this.#actions.destroy(id, options);
  }

  async #refuse(state: SessionState): Promise<WriteOutcome> {
    this.#events.emit("conflict", { id: state.id, userId: state.userId, reason: "superseded" });
    return { status: "superseded", state };
  }
}
