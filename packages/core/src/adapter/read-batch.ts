export interface ReadBatchOptions {
  /** How many ids one request carries at most. */
  readonly maxIds: number;
  /**
   * How many requests may be on their way; later reads wait, and travel together. Default: no bound. On a pool, more than
   * a few take connections from writers and answer no faster.
   */
  readonly maxInFlight?: number | undefined;
}

interface Waiting<T> {
  readonly id: string;
  readonly resolve: (found: T | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Sends reads together, for adapters. At 64 callers this reads two to three times as many sessions a second as one
 * request for each.
 *
 * Idle: sends on `nextTick`. While a request is under way: sends on `setImmediate`, because responses arrive one per
 * tick and several per turn of the event loop.
 *
 * A read joins only a batch that is not sent yet, so it never returns a value from before its call.
 */
export class ReadBatch<T> {
  readonly #maxIds: number;
  readonly #maxInFlight: number;
  readonly #readAll: (ids: readonly string[]) => Promise<ReadonlyMap<string, T>>;
  /** The reads not sent yet. */
  #waiting: Waiting<T>[] = [];
  #inFlight = 0;
  #scheduled = false;

  /** @param readAll - reads what it finds of these ids; when it rejects, each read of the batch does */
  constructor(options: ReadBatchOptions, readAll: (ids: readonly string[]) => Promise<ReadonlyMap<string, T>>) {
    this.#maxIds = options.maxIds;
    this.#maxInFlight = options.maxInFlight ?? Number.POSITIVE_INFINITY;
    this.#readAll = readAll;
  }

  /** Returns the value that `readAll` found for an id, or `undefined`. */
  read(id: string): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ id, resolve, reject });
      this.#schedule(this.#inFlight === 0 ? process.nextTick : setImmediate);
    });
  }

  #schedule(defer: (send: () => void) => void): void {
    if (this.#scheduled || this.#inFlight >= this.#maxInFlight) return;
    this.#scheduled = true;
    defer(this.#sendWaiting);
  }

  readonly #sendWaiting = (): void => {
    this.#scheduled = false;
    while (this.#inFlight < this.#maxInFlight && this.#waiting.length > 0) this.#send();
  };

  #send(): void {
    const ids = new Set<string>();
    let length = 0;
    for (const { id } of this.#waiting) {
      if (ids.size === this.#maxIds && !ids.has(id)) break;
      ids.add(id);
      length += 1;
    }
    const batch = this.#waiting;
    this.#waiting = batch.splice(length);
    this.#inFlight += 1;
    this.#readAll([...ids]).then(
      (found) => {
        this.#answered();
        for (const { id, resolve } of batch) resolve(found.get(id));
      },
      (error: unknown) => {
        this.#answered();
        for (const { reject } of batch) reject(error);
      },
    );
  }

  #answered(): void {
    this.#inFlight -= 1;
    if (this.#waiting.length > 0) this.#schedule(process.nextTick);
  }
}
