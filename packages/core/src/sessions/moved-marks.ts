import type { CallOptions } from "../contract/call.js";
import type { Aliases } from "./aliases.js";

/** How long an old id is known as moved, after its grace. Requests that take longer are not matched any more. */
export const movedMs = 30_000;

/**
 * Knows which ids a regeneration has just retired. A late request with such an id must begin no session: its cookie would
 * replace the one that the regeneration sent, and log the user out.
 *
 * An alias that finds no session is the mark. So is an alias whose grace is over.
 */
export class MovedMarks {
  readonly #aliases: Aliases;

  constructor(aliases: Aliases) {
    this.#aliases = aliases;
  }

  /** Leaves a mark. Never rejects: a login must not fail for its mark. A store call that fails becomes an `error` event. */
  async leave(oldId: string, call: CallOptions): Promise<void> {
    await this.#aliases.create(oldId, { owner: "", candidates: [] }, call).catch(() => false);
  }

  async has(oldId: string, call: CallOptions): Promise<boolean> {
    return (await this.#aliases.get(oldId, call)) !== undefined;
  }
}
