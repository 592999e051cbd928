import type { BusListener, BusMessage, BusState } from "../contract/bus.js";

/** The subscribers of a bus in this process. One that throws costs the others nothing. */
export class BusListeners {
  readonly #listeners = new Set<BusListener>();
  #isUp = false;

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Adds a subscriber, and tells it `up` when the bus is up already. */
  add(listener: BusListener): () => void {
    // A subscriber of its own each time, so that one listener may subscribe twice.
    const subscriber: BusListener = {
      message: (message) => listener.message(message),
      state: (state) => listener.state(state),
    };
    this.#listeners.add(subscriber);
    if (this.#isUp) call(() => subscriber.state("up"));
    return () => {
      this.#listeners.delete(subscriber);
    };
  }

  message(message: BusMessage): void {
    for (const listener of this.#listeners) call(() => listener.message(message));
  }

  /** Tells a state: `up` each time, because messages were lost before it; the others only while the bus is up. */
  state(state: BusState): void {
    if (state !== "up" && !this.#isUp) return;
    this.#isUp = state !== "down";
    for (const listener of this.#listeners) call(() => listener.state(state));
  }
}

function call(tell: () => void): void {
  try {
    tell();
  } catch (error) {
    const reason = error instanceof Error ? error.message : typeof error;
    process.emitWarning(`@sojourn/core: a subscriber of the session bus failed: ${reason}`);
  }
}
