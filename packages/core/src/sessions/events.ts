import { type Clock, systemClock } from "../contract/clock.js";
import { asSessionError, type SessionError } from "../contract/errors.js";

/**
 * Why a session was destroyed: by its token or id, by "log out everywhere", to stay within the user's session limit, or
 * because the store had no room left.
 */
export type DestroyReason = "destroyed" | "destroyedByUser" | "limit" | "capacity";

/**
 * What became of a write that met a concurrent one: `retried` on the fresh data; `refused` by policy or after too many
 * attempts; dropped because the session had `ended`, because it `changedUser` since it was loaded, or because it was
 * `superseded`: regenerated since, so that the token it was read by only reads.
 */
export type ConflictReason = "retried" | "refused" | "ended" | "changedUser" | "superseded";

/**
 * What a security event is about:
 *
 * - `malformedToken`: what a client presented is no token; it never reached the store;
 * - `unknownTokens`: more tokens that find nothing than `detection` allows one source: somebody may be guessing;
 * - `unreadable`: a stored session cannot be decrypted, decoded, validated or upgraded;
 * - `bindingMismatch`: a session was presented by another client than the one that it is bound to;
 * - `limitReached`: a user could not gain a session because of the session limit.
 */
export type SecurityKind = "malformedToken" | "unknownTokens" | "unreadable" | "bindingMismatch" | "limitReached";

interface Dated {
  /** When it was emitted: epoch milliseconds (UTC) by the manager's `clock`. */
  readonly at: number;
}

interface SessionEvent extends Dated {
  readonly id: string;
  /** Of an anonymous session `undefined`, and of one that was touched by its id without being read. */
  readonly userId: string | undefined;
}

/** Something that whoever watches for attacks wants to know. Holds no token, no payload and no secret. */
export interface SecurityEvent extends Dated {
  readonly kind: SecurityKind;
  /** How often it has happened since the last event of this kind and source: those in between were not emitted. */
  readonly count: number;
  /** The session that it happened to, where there is one. */
  readonly id?: string | undefined;
  readonly userId?: string | undefined;
  /** Where it came from: the `client.ip` that the application passed to the call, if any. */
  readonly source?: string | undefined;
}

/** The events of a manager. Ids are storage ids: safe to log, no credential. */
export interface SessionEvents {
  created: SessionEvent;
  updated: SessionEvent;
  /** The idle deadline moved. Throttled by `touchAfter`: not one for each read. */
  touched: SessionEvent;
  /** `previousId` is the id that is dead from here on, or only reads for the `regenerationGrace`. */
  regenerated: SessionEvent & { readonly previousId: string };
  destroyed: SessionEvent & { readonly reason: DestroyReason };
  /**
   * A session ran out and was removed by this manager's own sweep: at most once for each session, on one node, and only
   * for stores that are swept. A backend that expires by itself tells nobody.
   */
  expired: SessionEvent;
  conflict: SessionEvent & { readonly reason: ConflictReason };
  security: SecurityEvent;
  /** A store call failed, a record could not be read, a sweep failed, or a listener threw. Also reported to the caller, if any. */
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
    // One for each call: two that share a listener end by themselves.
    const subscription = { listener };
    subscriptions.add(subscription);
    return () => subscriptions.delete(subscription);
  }

  emit<Name extends keyof SessionEvents>(name: Name, undated: Omit<SessionEvents[Name], "at">): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    const subscriptions = this.#subscriptions.get(name);
    if (subscriptions === undefined || subscriptions.size === 0) return;
    // What "at" was omitted from has it again.
    const event = { ...undated, at: this.#clock.now() } as SessionEvents[Name];
    // The type of the listeners follows from the name that they were added under.
    for (const { listener } of [...subscriptions] as { listener: SessionListener<Name> }[]) {
      try {
        const outcome = listener(event);
        // Not by class: a library's own kind of promise rejects as well.
        if (typeof outcome === "object") {
          Promise.resolve(outcome).catch((error: unknown) => this.#reportListener(name, error));
        }
      } catch (error) {
        this.#reportListener(name, error);
      }
    }
  }

  #reportListener(name: keyof SessionEvents, cause: unknown): void {
    // A listener of "error" that fails has nobody left to tell.
    if (name === "error") return;
    const error = asSessionError(cause, `@sojourn/core: a listener of "${name}" failed`);
    this.emit("error", { error, operation: `listener of "${name}"` });
  }
}
