interface Pending<Value> {
  readonly value: Promise<Value>;
  readonly tick: number;
  /** The moment of `performance.now()` until which later ticks share it, too; 0 for none. */
  readonly until: number;
}

/** Shares a pending value among the callers of one tick, by key. A value that has settled is not shared any more. */
export class TickMemo<Key, Value> {
  readonly #pending = new Map<Key, Pending<Value>>();
  #tick = 0;
  #endsTick = false;

  /** @param longerMs - for how long later ticks share the value, too, while it is pending. Default 0. */
  of(key: Key, make: () => Promise<Value>, longerMs = 0): Promise<Value> {
    const known = this.#pending.get(key);
    if (known !== undefined && (known.tick === this.#tick || performance.now() < known.until)) return known.value;
    if (!this.#endsTick) process.nextTick(this.#endTick);
    this.#endsTick = true;
    const value = make();
    const until = longerMs > 0 ? performance.now() + longerMs : 0;
    this.#pending.set(key, { value, tick: this.#tick, until });
    // A chain of promises alone never leaves its tick.
    const settled = (): unknown => this.#pending.get(key)?.value === value && this.#pending.delete(key);
    value.then(settled, settled);
    return value;
  }

  readonly #endTick = (): void => {
    this.#tick += 1;
    this.#endsTick = false;
    for (const [key, { until }] of this.#pending) if (until === 0) this.#pending.delete(key);
  };
}
