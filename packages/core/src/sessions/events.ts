import { type Clock, systemClock } from "../contract/clock.js";
import { asSessionError, type SessionError } from "../contract/errors.js";

/**
 * The reason why a session was destroyed: by its token or id (`destroyed`), by "log out everywhere"
 * (`destroyedByUser`), to stay within the user's session limit, or because the store had no room left (`capacity`).
 */
export type DestroyReason = "destroyed" | "destroyedByUser" | "limit" | "capacity";

/**
 * The outcome of a write that met a concurrent one:
 *
 * - `moved`: a new session was dropped, because its request came late with a token that another request had regenerated;
 * - `retried`: it was computed again from the fresh data;
 * - `refused`: by policy, or after too many attempts;
 * - `ended`: it was dropped because the session had ended;
 * - `changedUser`: it was dropped because the session belongs to another user since it was loaded;
 * - `superseded`: it was dropped because the session was regenerated since, and its old token only reads.
 */
export type ConflictReason = "moved" | "retried" | "refused" | "ended" | "changedUser" | "superseded";

/**
 * The kind of a security event:
 *
 * - `malformedToken`: a client presented a text that is no token; it never reached the store;
 * - `unknownTokens`: one source presented more unknown tokens than `detection` allows, as an attacker who guesses
 *   does;
 * - `unreadable`: a stored session cannot be decrypted, decoded, validated or upgraded;
 * - `bindingMismatch`: a session was presented by another client than the one it is bound to;
 * - `limitReached`: the session limit refused a user a session;
 * - `severalTokens`: a client presented several valid tokens at once, as after a release that changed the cookie's path. The
 *   one that finds a session is used; none if several do.
 */
export type SecurityKind =
  | "malformedToken"
  | "unknownTokens"
  | "unreadable"
  | "bindingMismatch"
  | "limitReached"
  | "severalTokens";

interface Dated {
  /** The time of the event: epoch milliseconds (UTC) by the manager's `clock`. */
  readonly at: number;
}

interface SessionEvent extends Dated {
  readonly id: string;
  /** `undefined` for an anonymous session, and for a session that was touched by its id without being read. */
  readonly userId: string | undefined;
}

/** An event for the monitoring of attacks. Contains no token, no payload and no secret. */
export interface SecurityEvent extends Dated {
  readonly kind: SecurityKind;
  /** The number of occurrences since the last event of this kind and source, this one included. */
  readonly count: number;
  /** The session concerned, where there is one. */
  readonly id?: string | undefined;
  readonly userId?: string | undefined;
  /** The `client.ip` that the application passed to the call, if any. */
  readonly source?: string | undefined;
}

/** The events of a manager. Ids are storage ids: safe to log, no credential. */
export interface SessionEvents {
  created: SessionEvent;
  updated: SessionEvent;
  /** The idle deadline moved. Throttled by `touchAfter`: most reads emit none. */
  touched: SessionEvent;
  /** `previousId` is the old id. It is dead, or only reads for the `regenerationGrace`. */
  regenerated: SessionEvent & { readonly previousId: string };
  destroyed: SessionEvent & { readonly reason: DestroyReason };
  /**
   * A session expired and was removed by this manager's own sweep: at most once for each session, on one node, and only
   * for stores that are swept. A backend that expires by itself sends no such event.
   */
  expired: SessionEvent;
  conflict: SessionEvent & { readonly reason: ConflictReason };
  security: SecurityEvent;
  /**
   * A store call failed, a record could not be read, a sweep failed, or a listener threw. If a call caused it, the
   * caller gets the error, too.
   */
  error: Dated & {
    readonly error: SessionError;
    readonly operation: string;
    readonly id?: string | undefined;
    readonly userId?: string | undefined;
  };
}

export type SessionListener<Name extends keyof SessionEvents> = (event: SessionEvents[Name]) => unknown;

/** Delivers events in the order of subscription. A listener that throws or rejects becomes an `error` event, never a failed call. */
export class EventHub {
  /** How often each event was emitted. */
  readonly counts: Map<string, number> = new Map();
  readonly #subscriptions = new Map<string, Set<{ readonly listener: (event: never) => unknown }>>();
  readonly #clock: Clock;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  on<Name extends keyof SessionEvents>(name: Name, listener: SessionListener<Name>): () => void {
    const subscriptions = this.#subscriptions.get(name) ?? new Set();
    this.#subscriptions.set(name, subscriptions);
    // One object for each call: two subscriptions of one listener end independently.
    const subscription = { listener };
    subscriptions.add(subscription);
    return () => subscriptions.delete(subscription);
  }

  emit<Name extends keyof SessionEvents>(name: Name, undated: Omit<SessionEvents[Name], "at">): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    const subscriptions = this.#subscriptions.get(name);
    if (subscriptions === undefined || subscriptions.size === 0) return;
    // Adding `at` restores the type that `Omit` took it from.
    const event = { ...undated, at: this.#clock.now() } as SessionEvents[Name];
    // The type of the listeners follows from the name that they were added under.
    for (const { listener } of [...subscriptions] as { listener: SessionListener<Name> }[]) {
      try {
        const outcome = listener(event);
        // Not by `instanceof`: a promise of a library rejects as well.
        if (typeof outcome === "object") {
          Promise.resolve(outcome).catch((error: unknown) => this.#reportListener(name, error));
        }
      } catch (error) {
        this.#reportListener(name, error);
      }
    }
  }

  #reportListener(name: keyof SessionEvents, cause: unknown): void {
    // A failing listener of "error" is not reported: the report would call it again.
    if (name === "error") return;
    const error = asSessionError(cause, `@sojourn/core: a listener of "${name}" failed`);
    this.emit("error", { error, operation: `listener of "${name}"` });
  }
}
