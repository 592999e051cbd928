import { asSessionError, type SessionError } from "./errors.js";

/**
 * Why a session was destroyed: by its token or id, by "log out everywhere", to stay within the user's session limit, or
 * because the store had no room left.
 */
export type DestroyReason = "destroyed" | "destroyedByUser" | "limit" | "capacity";

/**
 * What became of a write that met a concurrent one: `retried` on the fresh data; `refused` by policy or after too many
 * attempts; dropped because the session had `ended`, or because it `changedUser` since it was loaded.
 */
export type ConflictReason = "retried" | "refused" | "ended" | "changedUser";

interface SessionEvent {
  readonly id: string;
  /** Of an anonymous session `undefined`, and of one that was touched by its id without being read. */
  readonly userId: string | undefined;
}

/** The events of a manager. Ids are storage ids: safe to log, no credential. */
export interface SessionEvents {
  created: SessionEvent;
  updated: SessionEvent;
  /** The idle deadline moved. Throttled by `touchAfter`: not one for each read. */
  touched: SessionEvent;
  /** `previousId` is the id that is dead from here on. */
  regenerated: SessionEvent & { readonly previousId: string };
  destroyed: SessionEvent & { readonly reason: DestroyReason };
  /**
   * A session ran out and was removed by this manager's own sweep: at most once for each session, on one node, and only
   * for stores that are swept. A backend that expires by itself tells nobody.
   */
  expired: SessionEvent;
  conflict: SessionEvent & { readonly reason: ConflictReason };
  /** A store call failed, a record could not be read, a sweep failed, or a listener threw. Also reported to the caller, if any. */
  error: {
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

  on<Name extends keyof SessionEvents>(name: Name, listener: SessionListener<Name>): () => void {
    const subscriptions = this.#subscriptions.get(name) ?? new Set();
    this.#subscriptions.set(name, subscriptions);
    // One for each call: two that share a listener end by themselves.
    const subscription = { listener };
    subscriptions.add(subscription);
    return () => subscriptions.delete(subscription);
  }

  emit<Name extends keyof SessionEvents>(name: Name, event: SessionEvents[Name]): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    const subscriptions = this.#subscriptions.get(name);
    if (subscriptions === undefined) return;
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
