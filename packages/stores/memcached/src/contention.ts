import { setTimeout as delay } from "node:timers/promises";
import { SessionError } from "@sojourn/core/adapter";
import type { Exchange } from "./exchange.js";

/**
 * Runs `attempt` until it answers. It answers `undefined` when another writer was faster.
 *
 * @throws SessionError `CONFLICT` when the deadline leaves no time for one more
 */
export async function untilWon<Result>(
  exchange: Exchange,
  attempt: (count: number) => Promise<Result | undefined>,
): Promise<Result> {
  for (let count = 0; ; count++) {
    const remainingMs = exchange.remainingMs;
    const result = await attempt(count);
    if (result !== undefined) return result;
    const tookMs = remainingMs - exchange.remainingMs;
    if (exchange.remainingMs < tookMs) throw contention();
    await backOff(count);
  }
}

/** Pauses by chance, longer with each attempt: two writers that go on at the same time spoil each other's next one too. */
async function backOff(count: number): Promise<void> {
  if (count >= 2) await delay(Math.random() * Math.min(count, 16));
}

function contention(): SessionError {
  const message = "@sojourn/memcached: other writers of the same session or user were faster until the time was up";
  return new SessionError("CONFLICT", message);
}
