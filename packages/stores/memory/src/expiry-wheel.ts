import { Rings } from "./rings.js";
import { link, none, number, type Table } from "./table.js";

const digitBits = 5;
const digits = 1 << digitBits;
/** 32 ** 9 milliseconds reach beyond the year 3000. */
const levels = 9;
const end = digits ** levels;

/** How much work may still be done before the event loop gets its turn. */
export interface Budget {
  steps: number;
}

/**
 * Finds what has expired, without looking at what has not: a hierarchical timing wheel (Varghese and Lauck, 1987).
 *
 * A deadline is read as nine digits of base 32, and a session waits in the bucket of the first digit in which its deadline
 * differs from the cursor: the farther away, the coarser. When the cursor reaches a bucket, its sessions expire or
 * move on to finer ones, at most nine times, however many sessions there are. A deadline that moves away is left where it
 * is until then, so that a touch costs nothing here; one that moves nearer is placed again.
 */
export class ExpiryWheel {
  readonly #table: Table;
  readonly #rings: Rings;
  readonly #heads: Int32Array = new Int32Array(levels * digits).fill(none);
  /** For each level, the digits whose bucket holds somebody, as bits. */
  readonly #occupied: Int32Array = new Int32Array(levels);
  #cursor: number;
  /** The bucket that the cursor is in: it is emptied before another one is opened. */
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

  /** Whether the clock was set back: `takeExpired` takes none before it reaches the cursor again. */
  isAheadOf(now: number): boolean {
    return now < this.#cursor;
  }

  /**
   * Takes one expired session out of the wheel.
   *
   * @returns its slot; `none` when nothing has expired, or when the budget is spent
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
    // What expires meanwhile waits until the cursor is reached again, and is invisible.
    if (this.isAheadOf(now)) return none;
    if (this.#open !== none && this.#head(this.#open) !== none) return this.#open;
    this.#open = none;
    for (let level = 0; level < levels; level += 1) {
      const occupied = this.#occupiedAt(level);
      if (occupied === 0) continue;
      // The lowest bit is the bucket that comes first; everything on higher levels comes later still.
      const digit = 31 - Math.clz32(occupied & -occupied);
      const widthMs = digits ** level;
      const start = this.#cursor - (this.#cursor % (widthMs * digits)) + digit * widthMs;
      if (start > now) return none;
      // As far ahead as this bucket goes: whoever moves on is then placed as finely as possible.
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
    // In bounds for every bucket, as below for every level.
    return this.#heads[bucket] as number;
  }

  #occupiedAt(level: number): number {
    return this.#occupied[level] as number;
  }
}
