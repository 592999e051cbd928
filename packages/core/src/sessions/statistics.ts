import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { SessionCounts } from "../contract/store.js";

/** The number and durations of the calls of one store operation, failed ones included. */
interface OperationStatistics {
  readonly count: number;
  readonly errors: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** The statistics of a manager since its creation, and the counts of its store. */
export interface SessionStatistics {
  /** The counts of the store, or `undefined` where it cannot count. */
  readonly stored: SessionCounts | undefined;
  /**
   * The average number of live sessions of the users who have a session. 0 without users, `undefined` where the store
   * cannot count.
   */
  readonly meanSessionsPerUser: number | undefined;
  /**
   * The number of reads that found a session. `misses`: the number of reads that found none, malformed tokens included.
   */
  readonly hits: number;
  readonly misses: number;
  /** The number of events by name, as this process emitted them. */
  readonly events: Readonly<Record<string, number>>;
  /** The store operations by name. */
  readonly operations: Readonly<Record<string, OperationStatistics>>;
}

const nsPerMs = 1e6;

/** Counts in memory. A count takes well under a microsecond. */
export class StatisticsCollector {
  hits = 0;
  misses = 0;
  readonly #operations = new Map<string, { readonly histogram: RecordableHistogram; errors: number }>();

  recordOperation(name: string, elapsedMs: number, failed: boolean): void {
    let operation = this.#operations.get(name);
    if (operation === undefined) {
      operation = { histogram: createHistogram(), errors: 0 };
      this.#operations.set(name, operation);
    }
    operation.histogram.record(Math.max(1, Math.round(elapsedMs * nsPerMs)));
    if (failed) operation.errors++;
  }

  snapshot(stored: SessionCounts | undefined, events: ReadonlyMap<string, number>): SessionStatistics {
    return {
      stored,
      meanSessionsPerUser: stored && (stored.users === 0 ? 0 : stored.sessionsWithUser / stored.users),
      hits: this.hits,
      misses: this.misses,
      events: Object.fromEntries(events),
      operations: Object.fromEntries(
        [...this.#operations].map(([name, { histogram, errors }]) => [name, summary(histogram, errors)]),
      ),
    };
  }
}

function summary(histogram: RecordableHistogram, errors: number): OperationStatistics {
  return {
    count: histogram.count,
    errors,
    meanMs: histogram.mean / nsPerMs,
    p50Ms: histogram.percentile(50) / nsPerMs,
    p99Ms: histogram.percentile(99) / nsPerMs,
    maxMs: histogram.max / nsPerMs,
  };
}
