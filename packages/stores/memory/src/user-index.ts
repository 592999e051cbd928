import { Rings } from "./rings.js";
import { ShardedMap } from "./sharded-map.js";
import { link, none, type Table, text } from "./table.js";

/** The sessions of each user: one ring for each user, so that a user with one session costs one map entry. */
export class UserIndex {
  readonly #table: Table;
  readonly #rings: Rings;
  readonly #heads: ShardedMap = new ShardedMap();
  #sessions = 0;

  constructor(table: Table) {
    this.#table = table;
    this.#rings = new Rings(table, link.user);
  }

  get users(): number {
    return this.#heads.size;
  }

  /** The number of sessions that have a user. */
  get sessions(): number {
    return this.#sessions;
  }

  /** Gives a session to a user, or makes it anonymous. */
  add(slot: number, userId: string | undefined): void {
    if (userId === undefined) {
      this.#table.setText(slot, text.userId, undefined);
      return;
    }
    const head = this.#heads.get(userId) ?? none;
    // Sessions of one user share one string, although each caller brings its own copy.
    this.#table.setText(slot, text.userId, head === none ? userId : this.#table.text(head, text.userId));
    const newHead = this.#rings.append(slot, head);
    if (newHead !== head) this.#heads.set(userId, newHead);
    this.#sessions += 1;
  }

  remove(slot: number): void {
    const userId = this.#table.text(slot, text.userId);
    if (userId === undefined) return;
    const head = this.#heads.get(userId) ?? none;
    const newHead = this.#rings.remove(slot, head);
    if (newHead === none) this.#heads.delete(userId);
    else if (newHead !== head) this.#heads.set(userId, newHead);
    this.#sessions -= 1;
  }

  slotsOf(userId: string): number[] {
    const head = this.#heads.get(userId);
    if (head === undefined) return [];
    const slots = [head];
    for (let slot = this.#rings.next(head); slot !== head; slot = this.#rings.next(slot)) slots.push(slot);
    return slots;
  }
}
