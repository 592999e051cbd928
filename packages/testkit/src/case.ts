import assert from "node:assert/strict";
import type { SessionStore } from "@sojourn/core";
import type { NewSession, SessionRecord, StoreCapabilities } from "@sojourn/core/adapter";
import type { ConformanceHarness } from "./harness.js";

/** One promise of a store, as a test that uses only the contract. */
export interface ConformanceCase {
  /** The stable id, such as `"update/after-destroy-stays-missing"`. */
  readonly id: string;
  /** The number of the promise in `docs/contract.md`. Absent for a case that belongs to every promise. */
  readonly promise?: number;
  /** The expected behaviour, as a sentence. */
  readonly title: string;
  /** Whether the case affects other cases (an outage, a patched clock) and therefore runs alone. */
  readonly exclusive?: boolean;
  /**
   * Returns the reason why the case does not apply to a backend, or `undefined` when it does. Absent: it applies to
   * every backend.
   */
  needs?(harness: ConformanceHarness, capabilities: StoreCapabilities): string | undefined;
  /** Rejects with an `AssertionError` when the store breaks the promise. */
  run(context: CaseContext): Promise<void>;
}

/** The tools of a case: its own namespace, stores on it, and time. */
export interface CaseContext {
  readonly harness: ConformanceHarness;
  readonly namespace: string;
  /** A store on `namespace`. */
  readonly store: SessionStore;
  readonly capabilities: StoreCapabilities;
  /** The number of repetitions of a race. */
  readonly rounds: number;
  /** Returns `count` scaled by the option `scale`, at least 1. */
  scaled(count: number): number;
  /** Opens another store, by default on the same namespace. The kit closes it after the case. */
  open(namespace?: string): Promise<SessionStore>;
  /** Returns an unused namespace. */
  freshNamespace(): string;
  /** Lets at least `ms` pass by the store's clock. */
  pass(ms: number): Promise<void>;
  /** Lets enough time pass that a session with `ms` left must be gone, within the precision of this backend. */
  outlive(ms: number): Promise<void>;
}

export const second = 1_000;
export const minute: number = 60 * second;
export const hour: number = 60 * minute;
export const day: number = 24 * hour;

/** Returns a session that outlives every case, unless `overrides` says otherwise. */
export function session(id: string, overrides: Omit<Partial<NewSession>, "id"> = {}): NewSession {
  return { id, payload: `payload of ${id}`, idleMs: hour, absoluteMs: day, ...overrides };
}

/** Sweeps until no expired session is left. */
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

/**
 * Returns a store for each contender: a store keeps the commands of one session in order, so contenders that share a
 * store do not race.
 */
export async function openContenders(
  { store, open }: Pick<CaseContext, "store" | "open">,
  count: number,
): Promise<SessionStore[]> {
  return [store, ...(await Promise.all(Array.from({ length: count - 1 }, () => open())))];
}
