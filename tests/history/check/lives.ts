import { familyOf } from "../generator.js";
import { type Call, type Operation, sessionOf } from "../operation.js";
import { clockSlackOf, earliestDeadline } from "./deadlines.js";
import {
  type Expectations,
  type Fact,
  type Facts,
  isCreate,
  isRefused,
  isUnknown,
  type Life,
  type Presence,
  push,
  type Stay,
  settledAt,
  type Violation,
  wallAt,
} from "./facts.js";

/** No resurrection, no session lost without a cause, one session under one id, renames, and who ended whom. */
export function* checkLives(facts: Facts, expectations: Expectations): Generator<Violation> {
  for (const life of facts.lives.values()) {
    for (const stay of life.stays.values()) {
      yield* checkStay(facts, life, stay, clockSlackOf(expectations));
      yield* checkArrival(facts, life, stay);
    }
    yield* checkRenames(life);
  }
  yield* checkNeighbours(facts);
  yield* checkEndings(facts);
  yield* checkGhosts(facts);
}

/** Between its first and its last sight under an id a session is there; after it has ended, there is a cause. */
function* checkStay(facts: Facts, life: Life, stay: Stay, clockSlackMs: number): Generator<Violation> {
  for (const absence of facts.absences.get(stay.id) ?? []) {
    if (absence.from <= stay.first.to) continue;
    const proof = [stay.first.operation, absence.operation, stay.last.operation];
    if (absence.to < stay.last.from) {
      const text = `"${stay.id}" was alive, then answered to be gone, then alive again without a create.`;
      yield { rule: "resurrection", text, operations: [...proof, ...endersOf(facts, life, stay, absence)] };
      return;
    }
  }
  const { left } = stay;
  if (left === undefined || endersOf(facts, life, stay, left).length > 0) return;
  const earlyMs = earliestDeadline(facts, life, left) - wallAt(left.operation, left.to);
  if (earlyMs <= clockSlackMs) return;
  const text = `"${stay.id}" is gone, but no call ended it and its deadline is ${Math.round(earlyMs)} ms ahead.`;
  yield { rule: "lost-session", text, operations: [stay.last.operation, left.operation] };
}

/** Calls that may have ended a stay after its last sight and before an absence. */
function endersOf({ enders }: Facts, life: Life, stay: Stay, absence: Fact): Operation[] {
  return enders.filter((operation) => {
    if (operation.invoked > absence.to || settledAt(operation) < stay.last.from) return false;
    const { call, answer } = operation;
    if ((call.verb === "destroy" || call.verb === "rename") && call.id === stay.id) return true;
    if (call.verb === "destroy") return false;
    return isUnknown(operation) || answer?.ended.some((id) => familyOf(id) === life.family) === true;
  });
}

/** A session comes to another id than the one that it was created with only by a rename. */
function* checkArrival({ byFamily }: Facts, life: Life, { id, first }: Stay): Generator<Violation> {
  if (id === life.creation.call.id) {
    if (isRefused(life.creation)) {
      const text = `A create that answered "${life.creation.answer?.status} ${life.creation.answer?.code ?? ""}" took effect.`;
      yield { rule: "refused-took-effect", text, operations: [life.creation, first.operation] };
    }
    return;
  }
  const renames = (byFamily.get(life.family) ?? []).filter(
    ({ call, invoked }) => call.verb === "rename" && call.newId === id && invoked <= first.to,
  );
  if (renames.some((rename) => !isRefused(rename))) return;
  const text = `A session is alive under "${id}", to which no rename that succeeded has moved it.`;
  yield { rule: "refused-took-effect", text, operations: [first.operation, ...renames] };
}

/** After a rename has been answered the old id is dead, and no second rename can move the session from there. */
function* checkRenames(life: Life): Generator<Violation> {
  const moves = new Map<string, Operation>();
  for (const { operation, sight } of life.presences) {
    if (operation.answer?.status !== "renamed" || operation.call.verb !== "rename") continue;
    const other = moves.get(operation.call.id);
    if (other !== undefined) {
      const text = `Two renames have moved the same session away from "${operation.call.id}".`;
      yield { rule: "renamed-twice", text, operations: [other, operation] };
    }
    moves.set(operation.call.id, operation);
    const old = life.stays.get(operation.call.id);
    if (old === undefined || old.last.from <= operation.answered) continue;
    const text = `"${old.id}" is still alive after it was renamed to "${sight.id}".`;
    yield { rule: "old-id-alive", text, operations: [operation, old.last.operation] };
  }
}

/** Two sessions never live under one id at the same time. */
function* checkNeighbours({ lives }: Facts): Generator<Violation> {
  const residents = new Map<string, Resident[]>();
  for (const life of lives.values()) {
    for (const stay of life.stays.values()) push(residents, stay.id, { life, stay });
  }
  for (const [id, all] of residents) {
    for (const resident of all) {
      const { first, last } = resident.stay;
      const intruder = all
        .map((other) => (other === resident ? undefined : findIntruder(resident.stay, other)))
        .find(Boolean);
      if (intruder === undefined) continue;
      const text = `Under "${id}" one session is seen before and after another one.`;
      yield { rule: "id-shared", text, operations: [first, intruder, last].map((each) => each.operation) };
    }
  }
}

interface Resident {
  readonly life: Life;
  readonly stay: Stay;
}

/** Returns a sight of another session from the time in which a stay certainly lasted. */
function findIntruder({ id, first, last }: Stay, { life, stay }: Resident): Presence | undefined {
  const from = first.to;
  const to = last.from;
  if (from >= to) return undefined;
  const isWithin = (presence: Presence): boolean =>
    presence.sight.id === id && presence.from > from && presence.to < to;
  const areBothThere = Math.max(from, stay.first.to) < Math.min(to, stay.last.from);
  return life.presences.find(isWithin) ?? (areBothThere ? stay.first : undefined);
}

/** No session is ended twice: not more endings are reported than there can have been sessions. */
function* checkEndings({ operations }: Facts): Generator<Violation> {
  const arrivals = new Map<string, number>();
  const endings = new Map<string, Operation[]>();
  const count = (id: string): void => void arrivals.set(id, (arrivals.get(id) ?? 0) + 1);
  for (const operation of operations) {
    const { answer } = operation;
    if (isCreate(operation) && !isRefused(operation)) count(familyOf(operation.call.id));
    for (const id of answer?.ended ?? []) {
      const family = familyOf(id);
      endings.set(family, [...(endings.get(family) ?? []), operation]);
    }
  }
  for (const [family, ended] of endings) {
    const created = arrivals.get(family) ?? 0;
    if (ended.length <= created) continue;
    const text = `Of "${family}" ${ended.length} sessions are reported as ended, but at most ${created} were created.`;
    yield { rule: "ended-twice", text, operations: ended };
  }
}

/** `touched` and `duplicate` say that a session is there: there has to be one that can be. */
function* checkGhosts(facts: Facts): Generator<Violation> {
  for (const operations of facts.byFamily.values()) {
    for (const operation of operations) {
      const { call, answer } = operation;
      if (answer?.status !== "touched" && answer?.status !== "duplicate") continue;
      const id = idFoundBy(call);
      const arrivals = operations.filter((other) => other !== operation && reaches(other, id));
      if (arrivals.some((arrival) => mayBeThere(facts, arrival, id, operation))) continue;
      const text = `A ${call.verb} answers "${answer.status}", but nothing can be alive under "${id}".`;
      yield { rule: "ghost", text, operations: [operation, ...arrivals] };
    }
  }
}

/** The id of which `touched` or `duplicate` speaks. */
function idFoundBy(call: Call): string {
  if (call.verb === "rename") return call.newId;
  return "id" in call ? call.id : "";
}

function mayBeThere(facts: Facts, arrival: Operation, id: string, { invoked, answered }: Operation): boolean {
  return arrival.invoked <= answered && !isRefused(arrival) && arrivalEnds(facts, arrival, id) >= invoked;
}

function reaches({ call }: Operation, id: string): boolean {
  return (call.verb === "create" && call.id === id) || (call.verb === "rename" && call.newId === id);
}

/** When the session that a create or rename brought to an id had certainly left it. */
function arrivalEnds({ lives }: Facts, arrival: Operation, id: string): number {
  const [sight] = arrival.answer?.sights ?? [];
  const session = sight?.session ?? (isCreate(arrival) ? sessionOf(arrival.call.absoluteMs) : undefined);
  const stay = session === undefined ? undefined : lives.get(session)?.stays.get(id);
  return stay?.left?.to ?? Number.POSITIVE_INFINITY;
}

/** The presence with the highest version that had ended before a moment. */
export function seenBefore({ presences }: Life, moment: number): Presence | undefined {
  let latest: Presence | undefined;
  for (const presence of presences) {
    if (presence.to >= moment) break;
    if (latest === undefined || presence.sight.version > latest.sight.version) latest = presence;
  }
  return latest;
}

/** The presence with the lowest version that began after a moment. */
export function seenAfter({ presences }: Life, moment: number): Presence | undefined {
  let earliest: Presence | undefined;
  for (const presence of presences) {
    if (presence.from <= moment) continue;
    if (earliest === undefined || presence.sight.version < earliest.sight.version) earliest = presence;
  }
  return earliest;
}

/** Whether a session certainly belonged to a user from one sight to another. */
export function belongsThroughout({ users }: Life, userId: string, from: Presence, to: Presence): boolean {
  for (let version = from.sight.version; version <= to.sight.version; version += 1) {
    if (!users.has(version) || users.get(version) !== userId) return false;
  }
  return true;
}
