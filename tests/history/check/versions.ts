import { familyOf } from "../generator.js";
import type { Operation } from "../operation.js";
import { type Facts, isRefused, isUnknown, type Life, type Presence, settledAt, type Violation } from "./facts.js";
import { seenBefore } from "./lives.js";

/** No lost update, versions without gap or repeat, monotonic reads, nothing refused takes effect, nothing runs twice. */
export function* checkVersions(facts: Facts): Generator<Violation> {
  yield* checkOutcomes(facts);
  const homes = new Map<string, Presence>();
  for (const life of facts.lives.values()) {
    yield* checkContents(facts, life, homes);
    yield* checkOrder(facts, life);
  }
  for (const life of facts.lives.values()) yield* checkGaps(facts, life, homes);
}

function* checkOutcomes({ operations }: Facts): Generator<Violation> {
  for (const operation of operations) {
    const { call, answer } = operation;
    const [sight] = answer?.sights ?? [];
    if ((call.verb !== "update" && call.verb !== "rename") || sight === undefined) continue;
    if (call.expectedVersion === undefined) continue;
    const fault = judgeVersion(
      call.expectedVersion,
      call.tag !== undefined,
      answer?.status === "conflict",
      sight.version,
    );
    if (fault !== undefined) yield { ...fault, operations: [operation] };
  }
}

function judgeVersion(
  expected: number,
  isWritten: boolean,
  isConflict: boolean,
  seen: number,
): { rule: string; text: string } | undefined {
  if (isConflict) {
    const text = `A conflict shows version ${expected}, the one that was expected.`;
    return seen === expected ? { rule: "conflict-without-cause", text } : undefined;
  }
  if (seen === (isWritten ? expected + 1 : expected)) return undefined;
  return { rule: "lost-update", text: `A write that expected version ${expected} made version ${seen}.` };
}

/** Each version of a session has one content and one user, by the write that its tag names. */
function* checkContents(facts: Facts, life: Life, homes: Map<string, Presence>): Generator<Violation> {
  const contents = new Map<number, Presence>();
  for (const presence of life.presences) {
    const { sight, operation } = presence;
    const known = contents.get(sight.version);
    if (known !== undefined) {
      if (known.sight.tag === sight.tag && known.sight.userId === sight.userId) continue;
      const text = `Version ${sight.version} of one session has two contents: "${short(known)}" and "${short(presence)}".`;
      yield { rule: "version-repeats", text, operations: [known.operation, operation] };
      continue;
    }
    contents.set(sight.version, presence);
    const home = homes.get(sight.tag);
    if (home === undefined) homes.set(sight.tag, presence);
    else {
      const text = `The write "${short(presence)}" was applied as version ${home.sight.version} and as version ${sight.version}.`;
      yield { rule: "applied-twice", text, operations: [home.operation, operation] };
    }
    yield* checkWriter(facts, life, presence, contents.get(sight.version - 1));
  }
}

function* checkWriter(
  { writers }: Facts,
  life: Life,
  { sight, operation, to }: Presence,
  before: Presence | undefined,
): Generator<Violation> {
  const writer = writers.get(sight.tag);
  if (writer === undefined || !("id" in writer.call) || familyOf(writer.call.id) !== life.family) {
    yield { rule: "content-unknown", text: `No write to "${sight.id}" has this content.`, operations: [operation] };
    return;
  }
  if (isRefused(writer)) {
    const text = `A ${writer.call.verb} that answered "${writer.answer?.status} ${writer.answer?.code ?? ""}" took effect.`;
    yield { rule: "refused-took-effect", text, operations: [writer, operation] };
  }
  if (writer.invoked > to) {
    yield { rule: "read-before-written", text: "A read shows a later write.", operations: [writer, operation] };
  }
  const { call } = writer;
  if (call.verb !== "create" && call.verb !== "update" && call.verb !== "rename") return;
  const isKept = call.verb !== "create" && call.userId === undefined;
  if (isKept && before === undefined) return;
  const user = isKept ? before?.sight.userId : (call.userId ?? undefined);
  if (user !== sight.userId) {
    const text = `Version ${sight.version} of "${sight.id}" belongs to ${sight.userId}, but was written for ${user}.`;
    yield { rule: "wrong-user", text, operations: [writer, operation] };
  }
}

/** A read that began after an answer showed a version sees that version or a later one. */
function* checkOrder({ byFamily }: Facts, life: Life): Generator<Violation> {
  for (const presence of life.presences) {
    const latest = seenBefore(life, presence.from);
    if (latest === undefined || presence.sight.version >= latest.sight.version) continue;
    if (latest.sight.id !== presence.sight.id && isBeingRenamed(byFamily.get(life.family) ?? [], presence)) continue;
    const text = `"${presence.sight.id}" shows version ${presence.sight.version} after version ${latest.sight.version} was answered.`;
    yield { rule: "stale", text, operations: [latest.operation, presence.operation] };
  }
}

/** The old id of a rename with a change shows the old content until the rename is done. */
function isBeingRenamed(operations: readonly Operation[], { sight, from }: Presence): boolean {
  return operations.some(
    (other) => other.call.verb === "rename" && other.call.id === sight.id && settledAt(other) >= from,
  );
}

/** Versions count writes one by one: each that was never seen needs a write of unknown outcome. */
function* checkGaps(facts: Facts, life: Life, homes: ReadonlyMap<string, Presence>): Generator<Violation> {
  const last = life.presences.reduce<Presence | undefined>(
    (highest, presence) => (highest && highest.sight.version >= presence.sight.version ? highest : presence),
    undefined,
  );
  if (last === undefined) return;
  const unseen = last.sight.version - life.users.size;
  if (unseen <= 0) return;
  const mayHaveWritten = (operation: Operation): boolean =>
    isUnknown(operation) &&
    "tag" in operation.call &&
    operation.call.tag !== undefined &&
    !homes.has(operation.call.tag) &&
    operation.invoked <= last.to;
  const candidates = (facts.byFamily.get(life.family) ?? []).filter(mayHaveWritten);
  // Version 1 is the creation itself, which may have been answered too late to be seen.
  const explained = candidates.length + (life.users.has(1) ? 0 : 1);
  if (unseen <= explained) return;
  const text = `"${last.sight.id}" reached version ${last.sight.version}, with ${unseen} versions that no write explains (${explained} may).`;
  yield { rule: "version-jumps", text, operations: [life.creation, last.operation] };
}

function short({ sight }: Presence): string {
  return sight.tag.split("|")[0] ?? "";
}
