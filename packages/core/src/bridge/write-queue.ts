/** Runs the writes of one request one after the other. A failed write does not stop those behind it. */
export class WriteQueue {
  #last: Promise<void> | undefined;
  #pending = 0;

  /** Whether a write has not settled yet. */
  get isBusy(): boolean {
    return this.#pending > 0;
  }

  run<T>(write: () => Promise<T>): Promise<T> {
    this.#pending += 1;
    const turn = (this.#last ?? Promise.resolve()).then(write);
    const settled = (): void => {
      this.#pending -= 1;
    };
    this.#last = turn.then(settled, settled);
    return turn;
  }
}
