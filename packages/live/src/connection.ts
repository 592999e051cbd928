import type { CloseReason, Transport } from "./transports.js";

/** A connection that was added to {@link LiveSessions}. */
export interface LiveConnection {
  /** The id of its session. It follows a regenerate. */
  readonly id: string;
  readonly userId: string | undefined;
  /**
   * False once its session has ended, or it was closed or removed. A closed WebSocket can still deliver messages for a second:
   * ignore them.
   */
  readonly isOpen: boolean;
  /** Stops watching the session for this connection, which stays open. */
  remove(): void;
}

/** The session of a connection: a `Session`, or the session of a request. */
export interface ConnectedSession {
  readonly id: string;
  readonly userId: string | undefined;
}

/** How long a peer has to answer a close, in milliseconds. `ws` waits 30 s, and delivers messages meanwhile. */
const closeGraceMs = 1_000;

export class Connection implements LiveConnection {
  id: string;
  readonly userId: string | undefined;
  readonly #transport: Transport;
  readonly #onRemoved: (connection: Connection) => void;
  readonly #stopListening: () => void;
  #isOpen = true;

  constructor({ id, userId }: ConnectedSession, transport: Transport, onRemoved: (connection: Connection) => void) {
    this.id = id;
    this.userId = userId;
    this.#transport = transport;
    this.#onRemoved = onRemoved;
    this.#stopListening = transport.onClosed(() => this.remove());
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  remove(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#stopListening();
    this.#onRemoved(this);
  }

  /** Removes and closes it. An error of the connection or of a close function becomes a process warning. */
  close(reason: CloseReason): void {
    this.remove();
    const { cut } = this.#transport;
    if (cut !== undefined) {
      const timer = setTimeout(cut, closeGraceMs).unref();
      const stop = this.#transport.onClosed(() => {
        clearTimeout(timer);
        stop();
      });
    }
    try {
      this.#transport.close({ code: 4401, reason });
    } catch (error) {
      const message = error instanceof Error ? error.message : typeof error;
      process.emitWarning(`@sojourn/live: a connection could not be closed: ${message}`);
    }
  }
}
