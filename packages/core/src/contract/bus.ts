/** Tells all processes of an application which sessions have ended or changed. It carries ids and kinds, never data. */

/** A message of a {@link SessionBus}. Its ids are storage ids, which are no credentials. */
export type BusMessage =
  /** The sessions have ended before their deadline. Expiry is not told: each record has its deadline. */
  | { readonly kind: "ended"; readonly ids: readonly string[] }
  /** The session has a new id; the old one is dead. */
  | { readonly kind: "renamed"; readonly id: string; readonly newId: string }
  /**
   * Payload, user or deadline may have changed: ask the store. `version` is the version that was written; without it any part
   * may have changed, under any version. A touch that only prolongs the session is not told.
   */
  | { readonly kind: "changed"; readonly id: string; readonly version?: number | undefined }
  /** Any session may have ended or changed. */
  | { readonly kind: "cleared" };

/**
 * The state of a bus, as a subscriber sees it:
 *
 * - `up`: the subscription is confirmed. Messages from before are lost, so drop all copies now, and not only at `down`;
 * - `down`: messages may be missing. Believe no copy until `up`;
 * - `gap`: the bus is up, but at least one message was lost.
 */
export type BusState = "up" | "down" | "gap";

/** A subscriber of a {@link SessionBus}. Both methods are called synchronously, in the order in which things arrive. */
export interface BusListener {
  message(message: BusMessage): void;
  state(state: BusState): void;
}

/** Carries messages between the processes of an application. A bus may be of another engine than the store. */
export interface SessionBus {
  /**
   * Subscribes. A bus that is up already tells `up` before this method returns. An error of a listener becomes a process
   * warning.
   *
   * @returns a function that ends the subscription
   */
  subscribe(listener: BusListener): () => void;
  /**
   * Tells all subscribers in all processes, this one included. Never throws. While the bus is down messages wait; more than
   * a thousand of them are replaced by one `cleared`.
   */
  publish(message: BusMessage): void;
  /** Ends the connections that the bus opened. Subscribers are told `down`. Idempotent. */
  close(): Promise<void>;
}
