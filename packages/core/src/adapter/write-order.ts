import type { AnyOperation } from "./operation.js";

/** A timer counts whole milliseconds. */
const timerPrecisionMs = 1;

/**
 * Runs the commands of one session one after the other, in the order of the calls. On a pool of connections a destroy would
 * otherwise overtake the save before it.
 *
 * The turn is given back when a command is over, not when its driver answers: a driver may never answer.
 */
export class WriteOrder {
  /** The last command of each session that has any under way. */
  readonly #tails = new Map<string, AnyOperation>();
  readonly #begin: (operation: AnyOperation) => void;

  constructor(begin: (operation: AnyOperation) => void) {
    this.#begin = begin;
  }

  enter(operation: AnyOperation, id: string): void {
    const tail = this.#tails.get(id);
    operation.id = id;
    this.#tails.set(id, operation);
    if (tail === undefined) {
      operation.hasTurn = true;
      this.#begin(operation);
      return;
    }
    operation.sent = false;
    tail.next = operation;
  }

  /** Gives the turn to the next command that is still wanted and has time left. */
  leave(operation: AnyOperation): void {
    operation.hasTurn = false;
    let last = operation;
    for (let next = last.next; next !== undefined; next = last.next) {
      last.next = undefined;
      last = next;
      // A timer fires up to a millisecond early, and its neighbours follow in the same turn of the event loop: a command that
      // has less than that left could not be answered, and its outcome would be unknown.
      if (!next.over && performance.now() >= next.deadline - timerPrecisionMs) next.expire();
      if (next.over) continue;
      next.hasTurn = true;
      next.sent = true;
      this.#begin(next);
      return;
    }
    if (last.id !== undefined && this.#tails.get(last.id) === last) this.#tails.delete(last.id);
  }
}
