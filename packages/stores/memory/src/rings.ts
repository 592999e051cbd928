import { none, type Table } from "./table.js";

/**
 * Rings of slots, doubly linked through two columns of the table. A session joins and leaves in constant time and
 * without an allocation. A ring is identified by its head, which is `none` while the ring is empty; the slot before the
 * head is the tail.
 */
export class Rings {
  readonly #table: Table;
  readonly #next: number;
  readonly #previous: number;

  /** @param column - the first of the two columns */
  constructor(table: Table, column: number) {
    this.#table = table;
    this.#next = column;
    this.#previous = column + 1;
  }

  next(slot: number): number {
    return this.#table.link(slot, this.#next);
  }

  /** Adds a slot at the tail. Returns the head. */
  append(slot: number, head: number): number {
    if (head === none) {
      this.#join(slot, slot);
      return slot;
    }
    this.#join(this.#table.link(head, this.#previous), slot);
    this.#join(slot, head);
    return head;
  }

  /** Takes a slot out. Returns the head. */
  remove(slot: number, head: number): number {
    const next = this.next(slot);
    if (next === slot) return none;
    this.#join(this.#table.link(slot, this.#previous), next);
    return slot === head ? next : head;
  }

  #join(slot: number, next: number): void {
    this.#table.setLink(slot, this.#next, next);
    this.#table.setLink(next, this.#previous, slot);
  }
}
