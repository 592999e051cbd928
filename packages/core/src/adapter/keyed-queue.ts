/** Runs the tasks of one key one after the other, and tasks of different keys at the same time. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>();

  /** Returns a promise that resolves when the tasks queued so far have settled; `undefined` when there are none. */
  settled(key: string): Promise<void> | undefined {
    return this.#tails.get(key);
  }

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const previous = this.#tails.get(key);
    const result = previous === undefined ? task() : previous.then(task);
    // A failed task does not stop the next one.
    const leave = (): void => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    };
    const tail: Promise<void> = result.then(leave, leave);
    this.#tails.set(key, tail);
    return result;
  }
}
