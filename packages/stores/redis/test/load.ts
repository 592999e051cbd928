import { isSessionError, type SessionErrorCode, type SessionStore } from "@sojourn/core";
import type { TestServer } from "@sojourn/test-fixtures";
import { expect } from "vitest";

export interface LoadFigures {
  readonly answered: number;
  readonly failed: ReadonlyMap<SessionErrorCode, number>;
  readonly slowestMs: number;
  /** Milliseconds from `since` to the first answer after it. */
  recoveredAfterMs(since: number): number | undefined;
}

/** Sixteen callers who read, write and keep alive a session each, one call after the other, until told to stop. */
export function startLoad(store: SessionStore): { answered(): number; failed(): number; stop(): Promise<LoadFigures> } {
  let running = true;
  let answered = 0;
  let slowestMs = 0;
  const failed = new Map<SessionErrorCode, number>();
  const answers: number[] = [];
  const call = async (run: () => Promise<unknown>): Promise<void> => {
    const startedAt = performance.now();
    try {
      await run();
      answered++;
      answers.push(performance.now());
    } catch (error) {
      // Anything else than an error of the contract ends the load, and so the test.
      if (!isSessionError(error)) throw error;
      failed.set(error.code, (failed.get(error.code) ?? 0) + 1);
      // An application would not repeat at once either.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
  };
  const caller = async (n: number): Promise<void> => {
    for (let round = 0; running; round++) {
      const id = `load ${n} ${round}`;
      await call(() => store.create({ id, userId: `u${n}`, payload: "p", idleMs: 60_000, absoluteMs: 60_000 }));
      await call(() => store.get(id));
      await call(() => store.update(id, { payload: "q" }));
      await call(() => store.touch(id, { idleMs: 60_000 }));
      await call(() => store.destroy(id));
    }
  };
  const callers = Promise.all(Array.from({ length: 16 }, (_, n) => caller(n)));
  return {
    answered: () => answered,
    failed: () => [...failed.values()].reduce((sum, count) => sum + count, 0),
    async stop() {
      running = false;
      await callers;
      return {
        answered,
        failed,
        slowestMs,
        recoveredAfterMs: (since) => {
          const first = answers.find((at) => at > since);
          return first === undefined ? undefined : first - since;
        },
      };
    },
  };
}

/** Kills a store's server under load and starts it again: every call is answered in time and retryably, and the store serves again by itself. */
export async function surviveKillUnderLoad(server: TestServer, store: SessionStore): Promise<void> {
  const load = startLoad(store);
  await expect.poll(load.answered).toBeGreaterThan(100);
  await server.kill();
  await expect.poll(load.failed).toBeGreaterThan(16);
  await server.restart();
  const restartedAt = performance.now();
  const after = { id: "after", userId: undefined, payload: "p", idleMs: 600_000, absoluteMs: 600_000 };
  await expect.poll(() => store.create(after).catch(() => undefined)).toBeDefined();
  const figures = await load.stop();
  const recovered = Math.round(figures.recoveredAfterMs(restartedAt) ?? Number.NaN);
  console.log(`kill -9: ${describeFigures(figures)}; first answer ${recovered} ms after the restart`);
  for (const code of figures.failed.keys()) expect(["UNAVAILABLE", "TIMEOUT"]).toContain(code);
}

export function describeFigures({ answered, failed, slowestMs }: LoadFigures): string {
  const failures = [...failed].map(([code, count]) => `${count} ${code}`).join(", ");
  return `${answered} calls answered, failed: ${failures || "none"}, slowest ${Math.round(slowestMs)} ms`;
}
