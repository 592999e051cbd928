/**
 * Runs tasks of one key one after the other, tasks of different keys side by side.
 *
 * A pool of connections otherwise lets a destroy overtake the save before it, and the session stays alive.
 */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Whether tasks of this key are under way. */
  has(key: string): boolean {
    return this.#tails.has(key);
  }

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const previous = this.#tails.get(key);
    const result = previous === undefined ? task() : previous.then(task);
    // The next task starts whatever became of this one.
    const leave = (): void => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    };
    const tail: Promise<unknown> = result.then(leave, leave);
    this.#tails.set(key, tail);
    return result;
  }
}
