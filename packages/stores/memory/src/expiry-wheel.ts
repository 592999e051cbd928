import { Rings } from "./rings.js";
import { link, none, number, type Table } from "./table.js";

const digitBits = 5;
const digits = 1 << digitBits;
/** 32 ** 9 milliseconds reach beyond the year 3000. */
const levels = 9;
const end = digits ** levels;

/** The work that may still be done before the event loop gets its turn. */
export interface Budget {
  steps: number;
}

/**
 * Finds expired sessions without examining live ones: a hierarchical timing wheel (Varghese and Lauck, 1987).
 *
 * A deadline is read as nine digits of base 32. A session waits in the bucket of the first digit in which its deadline
 * differs from the cursor: the later the deadline, the coarser the bucket. When the cursor reaches a bucket, its
 * sessions expire or move to finer buckets, at most nine times each. A session whose deadline moves away stays in its
 * bucket until then, so a touch costs nothing here; a session whose deadline moves nearer is placed again.
 */
export class ExpiryWheel {
  readonly #table: Table;
  readonly #rings: Rings;
  readonly #heads: Int32Array = new Int32Array(levels * digits).fill(none);
  /** For each level, the digits whose buckets hold sessions, as bits. */
  readonly #occupied: Int32Array = new Int32Array(levels);
  #cursor: number;
  /** The bucket at the cursor. It is emptied before the next one is opened. */
  #open: number = none;

  constructor(table: Table, now: number) {
    this.#table = table;
    this.#rings = new Rings(table, link.expiry);
    this.#cursor = now;
  }

  add(slot: number): void {
    const bucket = this.#bucketOf(this.#table.number(slot, number.expiresAt));
    this.#table.setLink(slot, link.bucket, bucket);
    this.#heads[bucket] = this.#rings.append(slot, this.#head(bucket));
    const level = bucket >> digitBits;
    this.#occupied[level] = this.#occupiedAt(level) | (1 << (bucket & (digits - 1)));
  }

  remove(slot: number): void {
    const bucket = this.#table.link(slot, link.bucket);
    const head = this.#rings.remove(slot, this.#head(bucket));
    this.#heads[bucket] = head;
    if (head !== none) return;
    const level = bucket >> digitBits;
    this.#occupied[level] = this.#occupiedAt(level) & ~(1 << (bucket & (digits - 1)));
  }

  /** Whether the clock was set back: `takeExpired` takes no session before the clock reaches the cursor again. */
  isAheadOf(now: number): boolean {
    return now < this.#cursor;
  }

  /**
   * Takes one expired session out of the wheel.
   *
   * @returns its slot; `none` when no session has expired, or the budget is spent
   */
  takeExpired(now: number, budget: Budget): number {
    while (budget.steps > 0) {
      const bucket = this.#dueBucket(now);
      if (bucket === none) return none;
      budget.steps -= 1;
      const slot = this.#head(bucket);
      this.remove(slot);
      if (this.#table.number(slot, number.expiresAt) <= now) return slot;
      this.add(slot);
    }
    return none;
  }

  #dueBucket(now: number): number {
    // Sessions that expire meanwhile wait until the clock reaches the cursor again; they are invisible already.
    if (this.isAheadOf(now)) return none;
    if (this.#open !== none && this.#head(this.#open) !== none) return this.#open;
    this.#open = none;
    for (let level = 0; level < levels; level += 1) {
      const occupied = this.#occupiedAt(level);
      if (occupied === 0) continue;
      // The lowest bit is the next bucket of this level; the buckets of higher levels come later.
      const digit = 31 - Math.clz32(occupied & -occupied);
      const widthMs = digits ** level;
      const start = this.#cursor - (this.#cursor % (widthMs * digits)) + digit * widthMs;
      if (start > now) return none;
      // Moves the cursor to the end of this bucket, so that its sessions are placed as finely as possible.
      this.#cursor = Math.min(now, start + widthMs - 1);
      this.#open = level * digits + digit;
      return this.#open;
    }
    return none;
  }

  #bucketOf(deadline: number): number {
    let at = Math.min(Math.max(deadline, this.#cursor), end - 1);
    let cursor = this.#cursor;
    for (let level = 0; ; level += 1) {
      const atAbove = Math.floor(at / digits);
      const cursorAbove = Math.floor(cursor / digits);
      if (atAbove === cursorAbove) return level * digits + (at - atAbove * digits);
      at = atAbove;
      cursor = cursorAbove;
    }
  }

  #head(bucket: number): number {
    // Every bucket and every level is in bounds.
    return this.#heads[bucket] as number;
  }

  #occupiedAt(level: number): number {
    return this.#occupied[level] as number;
  }
}
