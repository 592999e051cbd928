import type { SessionLimit } from "@sojourn/core";
import type { SessionRecord } from "@sojourn/core/adapter";

/** One call of the store contract, as plain data. `tag` is the payload: each write has one of its own. */
export type Call =
  | {
      readonly verb: "create";
      readonly id: string;
      readonly userId?: string | undefined;
      readonly tag: string;
      readonly idleMs: number;
      readonly absoluteMs: number;
      readonly limit?: SessionLimit | undefined;
    }
  | { readonly verb: "get"; readonly id: string }
  | ({ readonly verb: "update"; readonly id: string; readonly tag: string; readonly idleMs?: number } & Gain)
  | { readonly verb: "touch"; readonly id: string; readonly idleMs: number; readonly shorten?: boolean }
  | ({ readonly verb: "rename"; readonly id: string; readonly newId: string; readonly tag?: string } & Gain)
  | { readonly verb: "destroy"; readonly id: string }
  | { readonly verb: "listByUser"; readonly userId: string }
  | { readonly verb: "destroyByUser"; readonly userId: string; readonly except?: string };

/** A write that may move the session to another user. */
interface Gain {
  readonly userId?: string | null;
  readonly expectedVersion?: number;
  readonly limit?: SessionLimit;
}

/**
 * A record as an answer showed it. `session` names the create call it began with: each creates with a lifetime of its
 * own, and `endsAt - createdAt` keeps it through updates and renames.
 */
export interface Sight {
  readonly session: number;
  readonly id: string;
  readonly version: number;
  readonly tag: string;
  readonly userId: string | undefined;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** The store's clock when it answered. */
  readonly now: number;
}

type Status =
  | "created"
  | "duplicate"
  | "limitReached"
  | "found"
  | "missing"
  | "updated"
  | "conflict"
  | "touched"
  | "renamed"
  | "ended"
  | "listed"
  | "failed";

export interface Answer {
  readonly status: Status;
  /** Every record in the answer. */
  readonly sights: readonly Sight[];
  /** Ids of the sessions that this call says it ended. */
  readonly ended: readonly string[];
  /** Of `failed`: the error's code, and whether the write may have been applied. */
  readonly code?: string;
  readonly outcomeUnknown?: boolean;
}

/** A call with its interval on the monotonic clock that all processes of a machine share, in milliseconds. */
export interface Operation {
  readonly key: string;
  readonly call: Call;
  readonly invoked: number;
  /** The wall clock at `invoked`. */
  readonly invokedAt: number;
  /** Infinity if the process died first. */
  readonly answered: number;
  readonly answer: Answer | undefined;
  /** Part of the audit that ends a round, when nothing else runs. */
  readonly isAudit: boolean;
}

/** Milliseconds of CLOCK_MONOTONIC. */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const firstLifetimeMs = 2 * 60 * 60 * 1_000;

/** The absolute lifetime of create call number `session`. */
export function lifetimeOf(session: number): number {
  return firstLifetimeMs + session;
}

export function sessionOf(lifetimeMs: number): number {
  return lifetimeMs - firstLifetimeMs;
}

export function sightOf(record: SessionRecord): Sight {
  const { id, version, payload, userId, createdAt, expiresAt, endsAt, now } = record;
  return { session: sessionOf(endsAt - createdAt), id, version, tag: payload, userId, createdAt, expiresAt, now };
}
