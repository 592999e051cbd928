/** A point at which a request waits until the test lets it go on. */
export class Barrier {
  /** Resolves when the request has arrived. */
  readonly arrived: Promise<void>;
  readonly #released: Promise<void>;
  #arrive = (): void => {};
  release = (): void => {};

  constructor() {
    this.arrived = new Promise((resolve) => {
      this.#arrive = resolve;
    });
    this.#released = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  wait(): Promise<void> {
    this.#arrive();
    return this.#released;
  }
}
