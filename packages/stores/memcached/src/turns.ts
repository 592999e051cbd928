/**
 * Lets the writers of one key in this process go one after the other, so that they do not spoil each other's
 * compare-and-swap. A turn ends at the deadline of its operation at the latest.
 */
export class Turns {
  /** The end of the last turn of each key. It never rejects. */
  readonly #last = new Map<string, Promise<void>>();

  async take<Result>(key: string, act: (hasWaited: boolean) => Promise<Result>): Promise<Result> {
    const previous = this.#last.get(key);
    const acting = previous === undefined ? act(false) : previous.then(() => act(true));
    const end = acting.then(ignore, ignore).then(() => {
      if (this.#last.get(key) === end) this.#last.delete(key);
    });
    this.#last.set(key, end);
    return acting;
  }
}

function ignore(): void {}
