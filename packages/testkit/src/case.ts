import assert from "node:assert/strict";
import type { NewSession, SessionRecord, SessionStore, StoreCapabilities } from "@sojourn/core";
import type { ConformanceHarness } from "./harness.js";

/** One thing that a store promises, as a test that knows nothing but the contract. */
export interface ConformanceCase {
  /** Stable: `"update/after-destroy-stays-missing"`. */
  readonly id: string;
  /** The number of the promise in `docs/contract.md`. Absent: it goes without saying. */
  readonly promise?: number;
  /** What holds, as a sentence. */
  readonly title: string;
  /** Disturbs what others see (an outage, a patched clock) and therefore runs alone. */
  readonly exclusive?: boolean;
  /** Why this backend cannot be asked, or `undefined` when it must. Absent: every backend must. */
  needs?(harness: ConformanceHarness, capabilities: StoreCapabilities): string | undefined;
  /** Rejects with an `AssertionError` when the store breaks the promise. */
  run(context: CaseContext): Promise<void>;
}

/** What a case works with: a namespace of its own, stores on it, and time. */
export interface CaseContext {
  readonly harness: ConformanceHarness;
  readonly namespace: string;
  /** A store on `namespace`. */
  readonly store: SessionStore;
  readonly capabilities: StoreCapabilities;
  /** How often a race is repeated. */
  readonly rounds: number;
  /** `count` scaled to how thorough this run is, at least 1. */
  scaled(count: number): number;
  /** Another store, on the same namespace unless another is given. Closed after the case. */
  open(namespace?: string): Promise<SessionStore>;
  /** A namespace that nobody has used. */
  freshNamespace(): string;
  /** Lets at least `ms` pass by the store's clock. */
  pass(ms: number): Promise<void>;
  /** Lets so much time pass that a session with `ms` left must be gone, as precisely as this backend promises. */
  outlive(ms: number): Promise<void>;
}

export const second = 1_000;
export const minute: number = 60 * second;
export const hour: number = 60 * minute;
export const day: number = 24 * hour;

/** A session that outlives every case by far, unless `overrides` says otherwise. */
export function session(id: string, overrides: Omit<Partial<NewSession>, "id"> = {}): NewSession {
  return { id, payload: `payload of ${id}`, idleMs: hour, absoluteMs: day, ...overrides };
}

/** Sweeps until nothing is left to sweep. */
export async function sweepAll(store: SessionStore): Promise<void> {
  for (let batch = 0; batch < 1_000; batch++) {
    if ((await store.sweep({ limit: 1_000 })).length === 0) return;
  }
  assert.fail("sweep never ends");
}

export function idsOf(records: readonly SessionRecord[]): string[] {
  return records.map(({ id }) => id);
}

/** Runs `work` for 0 to `count` - 1, some at a time, as an application under load would. */
export async function inParallel(count: number, work: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(32, count) }, worker));
}

/** Starts two calls at the same time: in odd rounds the second one first. */
export async function inEitherOrder<A, B>(round: number, a: () => Promise<A>, b: () => Promise<B>): Promise<[A, B]> {
  if (round % 2 === 0) return Promise.all([a(), b()]);
  const second = b();
  return Promise.all([a(), second]);
}

/** A store keeps the commands of one session in order: contenders for one session need a store each. */
export async function openContenders(
  { store, open }: Pick<CaseContext, "store" | "open">,
  count: number,
): Promise<SessionStore[]> {
  return [store, ...(await Promise.all(Array.from({ length: count - 1 }, () => open())))];
}
