/** Shares a pending value among the callers of one tick, by key. A value that has settled is not shared any more. */
export class TickMemo<Key, Value> {
  readonly #pending = new Map<Key, Promise<Value>>();

  of(key: Key, make: () => Promise<Value>): Promise<Value> {
    const known = this.#pending.get(key);
    if (known !== undefined) return known;
    if (this.#pending.size === 0) process.nextTick(this.#clear);
    const value = make();
    this.#pending.set(key, value);
    // A chain of promises alone never leaves its tick.
    const settled = (): unknown => this.#pending.get(key) === value && this.#pending.delete(key);
    value.then(settled, settled);
    return value;
  }

  readonly #clear = (): void => this.#pending.clear();
}
