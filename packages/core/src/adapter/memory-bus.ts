import type { BusListener, BusMessage, SessionBus } from "../contract/bus.js";
import { BusListeners } from "./bus-listeners.js";

/**
 * A bus within one process: a message has reached all subscribers when `publish` returns.
 *
 * @example
 * ```ts
 * import { MemoryBus } from "@sojourn/core";
 *
 * const bus = new MemoryBus();
 * bus.subscribe({ message: ({ kind }) => console.log(kind), state: (state) => console.log(state) }); // up
 * bus.publish({ kind: "ended", ids: ["an id"] }); // ended
 * await bus.close(); // down
 * ```
 */
export class MemoryBus implements SessionBus {
  readonly #listeners = new BusListeners();

  constructor() {
    this.#listeners.state("up");
  }

  subscribe(listener: BusListener): () => void {
    return this.#listeners.add(listener);
  }

  publish(message: BusMessage): void {
    if (this.#listeners.isUp) this.#listeners.message(message);
  }

  async close(): Promise<void> {
    this.#listeners.state("down");
  }
}
