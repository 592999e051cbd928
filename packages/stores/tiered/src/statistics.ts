/** The counts of a {@link TieredStore} since its creation. Rates are fractions from 0 to 1 of all reads of one session. */
export interface TierStatistics {
  /** Reads answered by a copy in this process, by `get` or `peek`. */
  readonly l1Hits: number;
  /** Reads that the store answered with a session. */
  readonly l2Hits: number;
  /** Reads that found no session. */
  readonly misses: number;
  readonly l1HitRate: number;
  readonly l2HitRate: number;
  readonly missRate: number;
  /** Answers of the store that became copies. */
  readonly fills: number;
  /** Answers that did not, because the session may have changed meanwhile, or copies were off. */
  readonly cancelledFills: number;
  /** How often all copies were dropped. */
  readonly flushes: number;
  /** How often the bus told of lost messages while it was up. */
  readonly gaps: number;
  /** The copies at present, and their approximate bytes. */
  readonly entries: number;
  readonly bytes: number;
  /** Whether copies are used: true without a bus, else whether the bus is up. */
  readonly connected: boolean;
}
