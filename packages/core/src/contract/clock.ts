/** A source of time, for everything that the backend's clock does not judge. */
export interface Clock {
  /** Returns epoch milliseconds. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };
