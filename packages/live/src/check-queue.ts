/** The most checks at a time. The store sends the reads of one tick together. */
const maxRunning = 500;

/** Runs checks: each item one at a time, and again if it was added while its check ran. */
export class CheckQueue<Item> {
  readonly #due = new Set<Item>();
  readonly #running = new Set<Item>();
  readonly #check: (item: Item) => Promise<void>;

  /** @param check - must not reject */
  constructor(check: (item: Item) => Promise<void>) {
    this.#check = check;
  }

  add(item: Item): void {
    this.#due.add(item);
    this.#run();
  }

  #run(): void {
    for (const item of this.#due) {
      if (this.#running.size >= maxRunning) return;
      if (this.#running.has(item)) continue;
      this.#due.delete(item);
      this.#running.add(item);
      void this.#check(item).finally(() => {
        this.#running.delete(item);
        this.#run();
      });
    }
  }
}
