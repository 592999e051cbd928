import { familyOf } from "../generator.js";
import { type Call, type Operation, type Sight, sessionOf } from "../operation.js";

/** A promise that the history breaks, with the operations that prove it. */
export interface Violation {
  readonly rule: string;
  readonly text: string;
  readonly operations: readonly Operation[];
}

/** What the checker has to know of a backend. */
export interface Expectations {
  readonly expiryPrecisionMs: number;
  readonly isIndexAtomic: boolean;
  readonly isLimitAtomic: boolean;
}

/** At some moment between `from` and `to` an answer was true. */
export interface Fact {
  readonly from: number;
  readonly to: number;
  readonly operation: Operation;
}

/** A session was alive under `id`, as `sight` shows it. */
export interface Presence extends Fact {
  readonly sight: Sight;
}

/** A session's stay under one id: one unbroken period, because ids only move forward. */
export interface Stay {
  readonly id: string;
  /** The presence that ended first: from its end on the session is certainly there. */
  first: Presence;
  /** The presence that began last: until its beginning the session is certainly there. */
  last: Presence;
  /** The earliest answer by whose end the session had certainly left this id. */
  left: Fact | undefined;
}

/** All that is known of one session, from its creation through updates and renames. */
export interface Life {
  readonly session: number;
  readonly creation: Operation & { readonly call: Call & { readonly verb: "create" } };
  readonly family: string;
  /** In the order of `to`. */
  readonly presences: Presence[];
  readonly stays: Map<string, Stay>;
  readonly users: Map<number, string | undefined>;
}

export interface Facts {
  readonly operations: readonly Operation[];
  readonly lives: ReadonlyMap<number, Life>;
  /** Nothing was alive under this id. Of reads and of writes that answered so. */
  readonly absences: ReadonlyMap<string, readonly Fact[]>;
  /** Calls that name an id, or a new id, of this family. */
  readonly byFamily: ReadonlyMap<string, readonly Operation[]>;
  readonly writers: ReadonlyMap<string, Operation>;
  /** Calls that may have ended a session, or moved it to another id. */
  readonly enders: readonly Operation[];
  readonly strays: readonly Violation[];
}

const writes: ReadonlySet<Call["verb"]> = new Set(["create", "update", "touch", "rename", "destroy", "destroyByUser"]);

function isWrite({ call }: Operation): boolean {
  return writes.has(call.verb);
}

/** A write that may or may not have been applied, at any time from its beginning on. */
export function isUnknown(operation: Operation): boolean {
  const { answer } = operation;
  if (!isWrite(operation)) return false;
  return answer === undefined || (answer.status === "failed" && answer.outcomeUnknown === true);
}

/** An answer that says that the call changed nothing. */
export function isRefused({ answer }: Operation): boolean {
  switch (answer?.status) {
    case "missing":
    case "duplicate":
    case "conflict":
    case "limitReached":
      return true;
    case "failed":
      return answer.outcomeUnknown !== true;
    default:
      return false;
  }
}

/** When a call has certainly had all its effects. */
export function settledAt(operation: Operation): number {
  return isUnknown(operation) ? Number.POSITIVE_INFINITY : operation.answered;
}

export function wallAt(operation: Operation, monotonic: number): number {
  return operation.invokedAt + (monotonic - operation.invoked);
}

export function isCreate(operation: Operation): operation is Life["creation"] {
  return operation.call.verb === "create";
}

export function gatherFacts(operations: readonly Operation[]): Facts {
  const writers = new Map<string, Operation>();
  const byFamily = new Map<string, Operation[]>();
  for (const operation of operations) {
    const { call } = operation;
    if ("tag" in call && call.tag !== undefined) writers.set(call.tag, operation);
    if ("id" in call) push(byFamily, familyOf(call.id), operation);
  }
  const lives = gatherLives(operations);
  const strays = gatherPresences(operations, lives);
  const absences = gatherAbsences(operations);
  for (const life of lives.values()) {
    settle(life);
    followRenames(life, absences);
    for (const stay of life.stays.values()) stay.left = firstAbsence(stay, absences);
  }
  return { operations, lives, absences, byFamily, writers, enders: operations.filter(mayEnd), strays };
}

function gatherLives(operations: readonly Operation[]): Map<number, Life> {
  const lives = new Map<number, Life>();
  for (const creation of operations.filter(isCreate)) {
    const session = sessionOf(creation.call.absoluteMs);
    const family = familyOf(creation.call.id);
    lives.set(session, { session, creation, family, presences: [], stays: new Map(), users: new Map() });
  }
  return lives;
}

/** Returns the records that come from no create call. */
function gatherPresences(operations: readonly Operation[], lives: ReadonlyMap<number, Life>): Violation[] {
  const strays: Violation[] = [];
  for (const operation of operations) {
    if (startedDead(operation)) continue;
    for (const sight of operation.answer?.sights ?? []) {
      const presence = { from: operation.invoked, to: operation.answered, operation, sight };
      const life = lives.get(sight.session);
      life?.presences.push(presence);
      if (life !== undefined) continue;
      const text = `A record of "${sight.id}" comes from no create call: its createdAt or endsAt has changed.`;
      strays.push({ rule: "record-unknown", text, operations: [operation] });
    }
  }
  return strays;
}

function mayEnd(operation: Operation): boolean {
  const { call, answer } = operation;
  if (isRefused(operation)) return false;
  if (call.verb === "rename") return true;
  if (!isUnknown(operation)) return (answer?.ended.length ?? 0) > 0;
  if (call.verb === "destroy" || call.verb === "destroyByUser") return true;
  return (call.verb === "create" || call.verb === "update") && call.limit?.whenReached === "evictOldest";
}

/** "A lifetime that passes on the way to the backend answers `created` and stores nothing". */
function startedDead({ call, invoked, answered }: Operation): boolean {
  return call.verb === "create" && answered - invoked >= call.idleMs;
}

function settle(life: Life): void {
  life.presences.sort((a, b) => a.to - b.to);
  for (const presence of life.presences) {
    const { id, version, userId } = presence.sight;
    const stay = life.stays.get(id);
    if (stay === undefined) life.stays.set(id, { id, first: presence, last: presence, left: undefined });
    else if (presence.from > stay.last.from) stay.last = presence;
    if (!life.users.has(version)) life.users.set(version, userId);
  }
}

function gatherAbsences(operations: readonly Operation[]): Map<string, Fact[]> {
  const absences = new Map<string, Fact[]>();
  const renames = new Map<string, Operation[]>();
  for (const operation of operations) {
    if (operation.call.verb !== "rename") continue;
    push(renames, operation.call.id, operation);
    push(renames, operation.call.newId, operation);
  }
  for (const operation of operations) {
    const { call, answer, invoked: from, answered: to } = operation;
    if (answer === undefined) continue;
    for (const id of answer.ended) push(absences, id, { from, to, operation });
    if ("id" in call && showsAbsence(operation, renames.get(call.id) ?? [])) {
      push(absences, call.id, { from, to, operation });
    }
  }
  return absences;
}

/** Whether an answer says that nothing is alive under the id that was asked for. */
function showsAbsence(operation: Operation, renames: readonly Operation[]): boolean {
  const { call, answer } = operation;
  if (answer?.status === "renamed") return true;
  if (answer?.status !== "missing") return false;
  if (call.verb === "get" || call.verb === "destroy") return true;
  // While a rename runs, a write to the old id may answer missing although the rename fails in the end, and one to the new
  // id although that can be read.
  return !overlapsAny(operation, renames);
}

/**
 * A session that was renamed and is alive later has not died in between: where its old id is empty, it is under the new
 * one already. Counted as seen there, it must be readable from then on.
 */
function followRenames(life: Life, absences: ReadonlyMap<string, readonly Fact[]>): void {
  for (const next of life.stays.values()) {
    const before = next.id.endsWith("+") ? life.stays.get(next.id.slice(0, -1)) : undefined;
    if (before === undefined) continue;
    for (const { from, to, operation } of absences.get(before.id) ?? []) {
      if (from <= before.first.to || to >= next.first.to || to >= next.last.from) continue;
      next.first = { ...next.first, from, to, operation };
    }
  }
}

function firstAbsence(stay: Stay, absences: ReadonlyMap<string, readonly Fact[]>): Fact | undefined {
  let first: Fact | undefined;
  for (const absence of absences.get(stay.id) ?? []) {
    if (absence.from > stay.first.to && (first === undefined || absence.to < first.to)) first = absence;
  }
  return first;
}

function overlapsAny(operation: Operation, others: readonly Operation[]): boolean {
  return others.some(
    (other) => other !== operation && other.invoked <= operation.answered && settledAt(other) >= operation.invoked,
  );
}

export function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
