import type { SessionState } from "../content/content.js";
import { diffKeys, isUnchanged } from "../content/merge.js";
import type { CallOptions } from "../contract/call.js";
import type { EventHub } from "./events.js";
import type { SaveOptions, SessionActions, WriteOutcome } from "./session.js";

/**
 * The actions of a session that was read by the token that it had before its regeneration: it may be read and ended, not
 * written and not kept alive. The holder of the old token may be the attacker whom the regeneration locks out.
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

  /** Drops a save that changes nothing without an event, as {@link touch}: frameworks save at the end of each request. */
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
    return this.#actions.destroy(id, options);
  }

  async #refuse(state: SessionState): Promise<WriteOutcome> {
    this.#events.emit("conflict", { id: state.id, userId: state.userId, reason: "superseded" });
    return { status: "superseded", state };
  }
}
