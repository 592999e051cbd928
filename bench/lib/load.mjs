import { percentile } from "./statistics.mjs";

/**
 * A closed loop: `concurrency` callers, each of which starts its next operation when its last one has ended.
 *
 * @param {object} options
 * @param {(caller: number, step: number) => Promise<unknown> | undefined} options.operation - `undefined` ends the caller
 * @param {number} options.concurrency
 * @param {number} options.durationMs
 * @param {number} [options.leastOperations] - goes on until there were so many, but no longer than five times as long
 * @returns what this process saw: operations, elapsed time, its own CPU time, and latencies in microseconds
 */
export async function load({ operation, concurrency, durationMs, leastOperations = 0 }) {
  const latencies = [];
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  const deadline = begin + durationMs;
  const lastDeadline = begin + 5 * durationMs;
  const isOver = (now) => now >= deadline && (latencies.length >= leastOperations || now >= lastDeadline);
  await Promise.all(
    Array.from({ length: concurrency }, async (_, caller) => {
      let last = performance.now();
      for (let step = 0; !isOver(last); step += 1) {
        const started = operation(caller, step);
        if (started === undefined) return;
        await started;
        // One reading of the clock serves as the end of this operation and the beginning of the next.
        const now = performance.now();
        latencies.push(now - last);
        last = now;
      }
    }),
  );
  const elapsedMs = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpuBefore);
  const ascending = Float64Array.from(latencies).sort();
  return {
    operations: ascending.length,
    elapsedMs,
    cpuUs: user + system,
    p50Us: percentile(ascending, 0.5) * 1_000,
    p99Us: percentile(ascending, 0.99) * 1_000,
  };
}
