import type { Operation } from "../operation.js";
import {
  type Expectations,
  type Fact,
  type Facts,
  isCreate,
  isRefused,
  type Life,
  type Presence,
  settledAt,
  type Violation,
  wallAt,
} from "./facts.js";

/** By how much the store's clock and ours may differ: both are this machine's, but a backend may read it coarsely. */
export function clockSlackOf({ expiryPrecisionMs }: Expectations): number {
  return 25 + 2 * expiryPrecisionMs;
}

/** Expired sessions are invisible; a touch that was answered has moved the deadline. */
export function* checkDeadlines(facts: Facts, expectations: Expectations): Generator<Violation> {
  const { expiryPrecisionMs } = expectations;
  const clockSlackMs = clockSlackOf(expectations);
  for (const life of facts.lives.values()) {
    const setters = settersOf(facts, life);
    for (const { sight, operation, from, to } of life.presences) {
      const lateMs = sight.now - sight.expiresAt;
      if (lateMs > 2 * expiryPrecisionMs) {
        const text = `"${sight.id}" is shown ${lateMs} ms after its deadline, by the store's own clock.`;
        yield { rule: "expired-alive", text, operations: [operation] };
        continue;
      }
      const latest = setters.reduce(
        (bound, { setter, idleMs }) =>
          setter.invoked > to ? bound : Math.max(bound, wallAt(setter, settledAt(setter)) + idleMs),
        0,
      );
      const overdueMs = wallAt(operation, from) - latest;
      if (overdueMs <= 2 * expiryPrecisionMs + clockSlackMs) continue;
      const text = `"${sight.id}" is alive ${Math.round(overdueMs)} ms after the latest deadline that a call gave it.`;
      yield { rule: "expired-alive", text, operations: [life.creation, operation] };
    }
  }
  yield* checkTouches(facts, clockSlackMs);
}

/** The earliest deadline that a session can have had, going by its last sight and by the calls since. */
export function earliestDeadline(facts: Facts, life: Life, end: Fact): number {
  let last = life.presences[0];
  for (const presence of life.presences) {
    if (last === undefined || presence.from > last.from) last = presence;
  }
  if (last === undefined) return Number.NEGATIVE_INFINITY;
  let earliest = last.sight.expiresAt;
  for (const { setter, idleMs } of settersOf(facts, life)) {
    if (settledAt(setter) <= last.from || setter.invoked > end.to) continue;
    earliest = Math.min(earliest, setter.invokedAt + idleMs);
  }
  return earliest;
}

interface Setter {
  readonly setter: Operation;
  readonly idleMs: number;
}

/** Calls that may have set a session's deadline: its creation, and what was sent to any id of its family. */
function settersOf({ byFamily }: Facts, life: Life): Setter[] {
  const setters: Setter[] = [];
  for (const operation of byFamily.get(life.family) ?? []) {
    const { call } = operation;
    if (!("idleMs" in call) || call.idleMs === undefined) continue;
    // The creation did take effect, whatever it answered.
    if (operation !== life.creation && (isRefused(operation) || isCreate(operation))) continue;
    setters.push({ setter: operation, idleMs: call.idleMs });
  }
  return setters;
}

function* checkTouches(facts: Facts, clockSlackMs: number): Generator<Violation> {
  for (const life of facts.lives.values()) {
    const setters = settersOf(facts, life);
    for (const { setter, idleMs } of setters) {
      const { call, answer, invoked, answered, invokedAt } = setter;
      if (call.verb !== "touch" || answer?.status !== "touched") continue;
      const stay = life.stays.get(call.id);
      if (stay === undefined || stay.first.to >= invoked || stay.last.from <= answered) continue;
      const { sight, operation } = stay.last;
      const lostMs = Math.round(invokedAt + idleMs - sight.expiresAt);
      const others = setters.filter((other) => other.setter !== setter);
      if (lostMs <= clockSlackMs || wasShortened(others, invoked, stay.last, clockSlackMs)) continue;
      const text = `A touch of "${call.id}" was answered, but the deadline is ${lostMs} ms before the one it set.`;
      yield { rule: "touch-lost", text, operations: [setter, operation] };
    }
  }
}

/** Whether a call since `from` may have moved the deadline back to the one seen. */
function wasShortened(setters: readonly Setter[], from: number, seen: Presence, clockSlackMs: number): boolean {
  return setters.some(({ setter, idleMs }) => {
    if (setter.invoked > seen.to || settledAt(setter) < from) return false;
    const mayShorten = setter.call.verb !== "touch" || setter.call.shorten === true;
    return mayShorten && setter.invokedAt + idleMs <= seen.sight.expiresAt + clockSlackMs;
  });
}
