import { type SessionState, storeNow } from "../content/content.js";
import type { CallOptions } from "../contract/call.js";
import { assertTouch } from "../contract/validate.js";
import type { EventHub } from "./events.js";
import type { TouchInput } from "./inputs.js";
import type { RegenerationGrace } from "./regeneration-grace.js";
import type { WriteOutcome } from "./session.js";
import type { StoreCalls } from "./store-calls.js";
import { TickMemo } from "./tick-memo.js";

interface ActivityOptions {
  readonly idleMs: number;
  readonly touchAfterMs: number | undefined;
}

/** Records the activity of sessions, by moving their idle deadline. */
export class Activity {
  readonly #options: ActivityOptions;
  readonly #calls: StoreCalls;
  readonly #events: EventHub;
  readonly #grace: RegenerationGrace | undefined;
  /** By id: reads of one session share its touch. */
  readonly #touches = new TickMemo<string, WriteOutcome>();

  constructor(options: ActivityOptions, calls: StoreCalls, events: EventHub, grace: RegenerationGrace | undefined) {
    this.#options = options;
    this.#calls = calls;
    this.#events = events;
    this.#grace = grace;
  }

  /** Returns the session's own idle timeout in milliseconds. */
  idleMs({ content }: SessionState): number {
    return content.idleMs ?? this.#options.idleMs;
  }

  /** Whether {@link Activity.touch} would write. */
  isTouchDue(base: SessionState, input: TouchInput = {}): boolean {
    const { idleMs = this.idleMs(base), shorten = mayLower(base, input) } = input;
    return this.#isDue(this.#gain(base, idleMs), idleMs, shorten);
  }

  /**
   * Touches a session for a read. Shares the touch of the same tick, and one under way that began less than `touchAfter` ago:
   * reads from a copy in this process would otherwise write once each until the first touch is answered.
   */
  async touchOnRead(base: SessionState): Promise<WriteOutcome> {
    const touchAfterMs = this.#touchAfterMs(this.idleMs(base));
    const { status, state } = await this.#touches.of(base.id, () => this.touch(base), touchAfterMs);
    if (status !== "saved") return { status, state: base };
    // The touch of another read, which may have read an older version.
    return { status, state: { ...base, expiresAt: state.expiresAt, lastActiveAt: state.lastActiveAt } };
  }

  /**
   * Writes when the deadline moves away by at least `touchAfter`, or nearer where `shorten` allows it. By default it moves
   * nearer only where a deploy has lowered the manager's idle timeout.
   */
  async touch(base: SessionState, { signal, timeoutMs, ...input }: TouchInput = {}): Promise<WriteOutcome> {
    const { id, userId } = base;
    const { idleMs = this.idleMs(base) } = input;
    assertTouch(id, { idleMs });
    if (!this.isTouchDue(base, input)) return { status: "unchanged", state: base };
    // A touch that moves the deadline away must not undo a longer one of another request.
    const shorten = input.shorten ?? (this.#gain(base, idleMs) < 0 || undefined);
    const lastActiveAt = Math.floor(storeNow(base));
    const call = { signal, timeoutMs };
    const touched = await this.#calls.touch(id, { idleMs, shorten }, call);
    if (!touched) return { status: (await this.#isRegenerated(id, call)) ? "unchanged" : "ended", state: base };
    this.#events.emit("touched", { id, userId });
    const expiresAt = Math.min(lastActiveAt + idleMs, base.endsAt);
    return { status: "saved", state: { ...base, expiresAt, lastActiveAt } };
  }

  /** Returns how far a touch would move the deadline. */
  #gain(base: SessionState, idleMs: number): number {
    return Math.min(Math.floor(storeNow(base)) + idleMs, base.endsAt) - base.expiresAt;
  }

  /** @param gain - how far the deadline would move, in milliseconds */
  #isDue(gain: number, idleMs: number, shorten?: boolean): boolean {
    const touchAfterMs = this.#touchAfterMs(idleMs);
    return gain >= 0 ? gain > 0 && gain >= touchAfterMs : shorten === true && -gain >= touchAfterMs;
  }

  #touchAfterMs(idleMs: number): number {
    const { touchAfterMs = idleMs } = this.#options;
    // With an idle timeout below `touchAfter`, no touch would ever move the deadline that far.
    return touchAfterMs < idleMs ? touchAfterMs : idleMs / 60;
  }

  /** While a store renames, the old id may still be read and not be touched. */
  async #isRegenerated(id: string, call: CallOptions): Promise<boolean> {
    return (await this.#grace?.current(id, call)) !== undefined;
  }
}

/** Whether a touch may find the deadline too far: it does not name a timeout, and the session has none of its own. */
function mayLower({ content }: SessionState, { idleMs }: TouchInput): boolean {
  return idleMs === undefined && content.idleMs === undefined;
}
