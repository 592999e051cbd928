/** More in flight take connections from writers and answer no faster. */
const maxInFlight = 4;

interface Waiting<T> {
  readonly resolve: (value: T | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * For adapters: sends the reads of one tick as one. On SQL that is two to three times as many reads a second as a
 * statement for each, at 64 callers.
 *
 * A read joins only a batch that has not been sent, so none is answered with what was there before it was asked.
 */
export class ReadBatch<T> {
  readonly #maxIds: number;
  readonly #readAll: (ids: readonly string[]) => Promise<ReadonlyMap<string, T>>;
  readonly #waiting: Map<string, Waiting<T>[]> = new Map();
  #inFlight = 0;
  #scheduled = false;

  /**
   * @param maxIds - how many ids one request carries at most
   * @param readAll - reads what it finds of these ids; when it rejects, each read of the batch does
   */
  constructor(maxIds: number, readAll: (ids: readonly string[]) => Promise<ReadonlyMap<string, T>>) {
    this.#maxIds = maxIds;
    this.#readAll = readAll;
  }

  /** What `readAll` found of this id, or `undefined`. */
  read(id: string): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const others = this.#waiting.get(id);
      if (others === undefined) this.#waiting.set(id, [{ resolve, reject }]);
      else others.push({ resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= maxInFlight) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      while (this.#waiting.size > 0 && this.#inFlight < maxInFlight) void this.#send();
    });
  }

  async #send(): Promise<void> {
    const batch = [...this.#waiting].slice(0, this.#maxIds);
    for (const [id] of batch) this.#waiting.delete(id);
    this.#inFlight += 1;
    try {
      const found = await this.#readAll(batch.map(([id]) => id));
      for (const [id, waiting] of batch) for (const { resolve } of waiting) resolve(found.get(id));
    } catch (error) {
      for (const [, waiting] of batch) for (const { reject } of waiting) reject(error);
    } finally {
      this.#inFlight -= 1;
      if (this.#waiting.size > 0) this.#schedule();
    }
  }
}
