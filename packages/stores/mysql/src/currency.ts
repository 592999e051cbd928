import type { Row } from "./record.js";

/** Enough for one long wait and one slow answer. */
const maxAttempts = 3;

/**
 * Asks again where the answer took longer than a session in it had left to live. A statement reads the clock when it begins,
 * and may wait for a lock after that.
 *
 * @param ask - returns rows with the columns `expires_at` and `now_ms`
 */
export async function askUntilCurrent(ask: () => Promise<Row[]>): Promise<Row[]> {
  for (let attempt = 1; ; attempt++) {
    const askedAt = performance.now();
    const rows = await ask();
    const tookMs = performance.now() - askedAt;
    if (attempt === maxAttempts || !rows.some((row) => mayHaveExpired(row, tookMs))) return rows;
  }
}

/** Whether a session that was live may have expired since. */
export function mayHaveExpired(row: Row, sinceMs: number): boolean {
  const leftMs = Number(row.expires_at) - Number(row.now_ms);
  return leftMs > 0 && leftMs <= sinceMs;
}
