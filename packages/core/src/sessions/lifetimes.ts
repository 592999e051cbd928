import type { SessionContent, SessionState } from "../content/content.js";
import type { Duration } from "../contract/duration.js";
import { invalidOption } from "../contract/errors.js";
import { type ResolvedManagerOptions, resolveTimeouts } from "./options.js";
import { ownerAfter } from "./user-change.js";

/** How long one session may live, where it differs from the manager's options: "remember me". */
export interface LifetimeInput {
  /** This session's own idle timeout. */
  readonly idleTimeout?: Duration | undefined;
  /** This session's own absolute timeout. */
  readonly absoluteTimeout?: Duration | undefined;
  /** Whether its cookie outlives the browser. */
  readonly persistent?: boolean | undefined;
}

/** The lifetimes that a session keeps in its content: only those that are its own. */
type OwnLifetimes = Pick<SessionContent, "idleMs" | "absoluteMs" | "persistent">;

interface Begun {
  readonly idleMs: number;
  readonly absoluteMs: number;
  readonly own: OwnLifetimes;
}

interface Renewed {
  /** The new idle timeout, where this regeneration sets one. */
  readonly idleMs: number | undefined;
  /** A new absolute deadline, counted from now. */
  readonly absoluteMs: number | undefined;
  readonly own: OwnLifetimes;
}

/** The changes of a regeneration that decide how long the session lives. */
export interface Renewal {
  readonly lifetimes: LifetimeInput;
  readonly userId: string | null | undefined;
  readonly authenticated: boolean;
}

/** Decides how long sessions live, from the manager's options and their own. */
export class Lifetimes {
  readonly #defaults: Pick<ResolvedManagerOptions, "idleMs" | "absoluteMs">;

  constructor({ idleMs, absoluteMs }: Pick<ResolvedManagerOptions, "idleMs" | "absoluteMs">) {
    this.#defaults = { idleMs, absoluteMs };
  }

  /** @throws SessionError `INVALID_OPTION` */
  begin(input: LifetimeInput): Begun {
    requirePersistent(input.persistent);
    const timeouts = resolveTimeouts(input, this.#defaults);
    return { ...timeouts, own: this.#ownOf(timeouts, input.persistent) };
  }

  /**
   * Decides the lifetimes of a session that is regenerated.
   *
   * A login restarts the absolute deadline, and so does a new absolute timeout. The session's own lifetimes stay, unless
   * it passes from a user to another one, or to none: they were the choice of the former user.
   *
   * @throws SessionError `INVALID_OPTION`
   */
  renew(current: SessionState, { lifetimes, userId, authenticated }: Renewal): Renewed {
    requirePersistent(lifetimes.persistent);
    const owner = ownerAfter(current, userId);
    const isKept = current.userId === undefined || owner === current.userId;
    const before: OwnLifetimes = isKept ? current.content : {};
    const { idleMs = this.#defaults.idleMs, absoluteMs = this.#defaults.absoluteMs } = before;
    const timeouts = resolveTimeouts(lifetimes, { idleMs, absoluteMs });
    const isLogin = authenticated || (owner !== undefined && owner !== current.userId);
    return {
      idleMs: isKept && timeouts.idleMs === idleMs ? undefined : timeouts.idleMs,
      absoluteMs: isLogin || lifetimes.absoluteTimeout !== undefined ? timeouts.absoluteMs : undefined,
      own: this.#ownOf(timeouts, lifetimes.persistent ?? before.persistent),
    };
  }

  #ownOf({ idleMs, absoluteMs }: { idleMs: number; absoluteMs: number }, persistent: boolean | undefined) {
    return {
      ...(idleMs !== this.#defaults.idleMs && { idleMs }),
      ...(absoluteMs !== this.#defaults.absoluteMs && { absoluteMs }),
      ...(persistent !== undefined && { persistent }),
    };
  }
}

function requirePersistent(persistent: unknown): void {
  if (persistent === undefined || typeof persistent === "boolean") return;
  throw invalidOption("@sojourn/core", "persistent", "a boolean", persistent);
}
