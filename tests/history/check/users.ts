import { limitOf } from "../generator.js";
import type { Operation, Sight } from "../operation.js";
import {
  type Expectations,
  type Facts,
  isRefused,
  isUnknown,
  type Life,
  type Presence,
  push,
  settledAt,
  type Violation,
  wallAt,
} from "./facts.js";
import { belongsThroughout, seenAfter, seenBefore } from "./lives.js";

/** Exact lists, log out everywhere, and the session limit, while other calls run. */
export function* checkUsers(facts: Facts, expectations: Expectations): Generator<Violation> {
  const owners = new Owners(facts);
  for (const operation of facts.operations) {
    const { call, answer } = operation;
    if (answer === undefined || answer.status === "failed") continue;
    if (call.verb === "listByUser") yield* checkList(facts, owners, operation, call.userId, expectations);
    if (call.verb === "destroyByUser") yield* checkLogOut(owners, operation, call.userId, call.except);
    if (call.verb === "create" || call.verb === "update" || call.verb === "rename")
      yield* checkLimit(owners, operation);
  }
}

function* checkList(
  facts: Facts,
  owners: Owners,
  list: Operation,
  userId: string,
  expectations: Expectations,
): Generator<Violation> {
  const { isIndexAtomic, isLimitAtomic } = expectations;
  const sights = list.answer?.sights ?? [];
  yield* checkEntries(facts, list, userId, expectations);
  const limit = limitOf(userId);
  if (limit && isLimitAtomic && isIndexAtomic && sights.length > limit.max) {
    const text = `${userId} has ${sights.length} sessions, ${limit.max} are allowed.`;
    yield { rule: "over-limit", text, operations: [list] };
  }
  const listed = new Set(sights.map(({ session }) => session));
  for (const { life, before, after } of owners.throughout(userId, list)) {
    if (listed.has(life.session) || (!isIndexAtomic && isMoving(facts, life.session, list))) continue;
    const text = `The list of ${userId} misses "${before.sight.id}", alive before and after it.`;
    yield { rule: "list-misses", text, operations: [before.operation, list, after.operation] };
  }
}

/** Each entry belongs to the user, in order, and none is there twice. */
function* checkEntries(
  facts: Facts,
  list: Operation,
  userId: string,
  { isIndexAtomic }: Expectations,
): Generator<Violation> {
  const sights = list.answer?.sights ?? [];
  const listed = new Set<number>();
  for (const [at, sight] of sights.entries()) {
    const before = sights[at - 1];
    if (sight.userId !== userId) {
      const text = `The list of ${userId} shows "${sight.id}", which belongs to ${sight.userId}.`;
      yield { rule: "list-foreign", text, operations: [list] };
    }
    if (before && (before.createdAt - sight.createdAt || compareBytes(before.id, sight.id)) > 0) {
      yield { rule: "list-order", text: `The list of ${userId} is not sorted.`, operations: [list] };
    }
    if (listed.has(sight.session) && (isIndexAtomic || !isMoving(facts, sight.session, list))) {
      const text = `The list of ${userId} shows one session twice, also as "${sight.id}".`;
      yield { rule: "list-twice", text, operations: [list] };
    }
    listed.add(sight.session);
  }
}

/** Whether a rename of the session's family runs at the same time. */
function isMoving({ byFamily, lives }: Facts, session: number, { invoked, answered }: Operation): boolean {
  const family = lives.get(session)?.family ?? "";
  return (byFamily.get(family) ?? []).some(
    (other) => other.call.verb === "rename" && other.invoked <= answered && settledAt(other) >= invoked,
  );
}

function* checkLogOut(
  owners: Owners,
  logOut: Operation,
  userId: string,
  except: string | undefined,
): Generator<Violation> {
  for (const { life, before, after } of owners.throughout(userId, logOut)) {
    if (except !== undefined && life.stays.has(except)) continue;
    const text = `"${before.sight.id}" existed when ${userId} was logged out everywhere, and is alive afterwards.`;
    yield { rule: "survived-log-out", text, operations: [before.operation, logOut, after.operation] };
  }
}

/** A limit neither refuses nor evicts before it is reached, and evicts the oldest. */
function* checkLimit(owners: Owners, gain: Operation): Generator<Violation> {
  const { call, answer } = gain;
  if (!("limit" in call) || !call.limit || !("userId" in call) || !call.userId || answer === undefined) return;
  const { userId } = call;
  const subject = answer.sights[0]?.session;
  const { ended, status } = answer;
  if (status === "limitReached" || ended.length > 0) {
    const others = owners.of(userId).filter((life) => life.session !== subject && owners.mayLive(life, gain));
    const needed = status === "limitReached" ? call.limit.max : call.limit.max - 1 + ended.length;
    if (others.length < needed) {
      const act = status === "limitReached" ? "refused a session" : `evicted ${ended.length}`;
      const text = `A ${call.verb} for ${userId} ${act} of at most ${others.length} others, ${call.limit.max} are allowed.`;
      yield { rule: "limit-too-strict", text, operations: [gain] };
    }
  }
  for (const id of ended) yield* checkEviction(owners, gain, userId, id, subject);
}

function* checkEviction(
  owners: Owners,
  gain: Operation,
  userId: string,
  id: string,
  subject: number | undefined,
): Generator<Violation> {
  const evicted = owners.of(userId).filter((life) => {
    const stay = life.stays.get(id);
    if (stay === undefined || stay.first.to >= gain.invoked || stay.last.from > gain.answered) return false;
    return (stay.left?.to ?? 0) >= gain.invoked;
  });
  const createdAt = evicted.length === 1 ? evicted[0]?.presences[0]?.sight.createdAt : undefined;
  if (createdAt === undefined) return;
  for (const { life, before, after } of owners.throughout(userId, gain)) {
    if (life.session === subject || before.sight.createdAt >= createdAt) continue;
    const text = `A ${gain.call.verb} for ${userId} evicted "${id}", although "${before.sight.id}" is older and lives on.`;
    yield { rule: "evicted-newer", text, operations: [before.operation, gain, after.operation] };
  }
}

/** A session that a user certainly had before, during and after a call. */
interface Possession {
  readonly life: Life;
  readonly before: Presence;
  readonly after: Presence;
}

/** Which sessions may have belonged to a user, some time. */
class Owners {
  readonly #byUser = new Map<string, Life[]>();
  /** Families with a rename of unknown outcome. */
  readonly #moving = new Set<string>();

  constructor({ lives, byFamily }: Facts) {
    const gains = new Map<string, string[]>();
    for (const [family, operations] of byFamily) {
      const unknown = operations.filter(isUnknown);
      if (unknown.some(({ call }) => call.verb === "rename")) this.#moving.add(family);
      gains.set(family, unknown.map(({ call }) => ("userId" in call && call.userId) || "").filter(Boolean));
    }
    for (const life of lives.values()) {
      if (isRefused(life.creation) && life.presences.length === 0) continue;
      const users = new Set([life.creation.call.userId, ...life.users.values(), ...(gains.get(life.family) ?? [])]);
      for (const user of users) if (user !== undefined) push(this.#byUser, user, life);
    }
  }

  of(userId: string): readonly Life[] {
    return this.#byUser.get(userId) ?? [];
  }

  *throughout(userId: string, { invoked, answered }: Operation): Generator<Possession> {
    for (const life of this.of(userId)) {
      const before = seenBefore(life, invoked);
      const after = before && seenAfter(life, answered);
      if (before && after && belongsThroughout(life, userId, before, after)) yield { life, before, after };
    }
  }

  /** Whether a session can have been alive at some moment of an operation. */
  mayLive(life: Life, { invoked, answered }: Operation): boolean {
    if (life.creation.invoked > answered) return false;
    if (life.stays.size === 0 || this.#moving.has(life.family)) return true;
    return [...life.stays.values()].some(({ left }) => left === undefined || left.to >= invoked);
  }
}

/** At rest: lists agree with records, no session has two ids, nobody has more sessions than allowed. */
export function* checkAudit({ operations }: Facts, expectations: Expectations): Generator<Violation> {
  const audits = operations.filter(({ isAudit, answer }) => isAudit && answer?.status !== "failed");
  const records = new Map<number, AuditedRecord>();
  for (const operation of audits) {
    const [sight] = operation.answer?.sights ?? [];
    if (operation.call.verb !== "get" || sight === undefined) continue;
    const other = records.get(sight.session);
    records.set(sight.session, { sight, operation });
    if (other === undefined) continue;
    const text = `At rest one session is alive as "${sight.id}" and as "${other.sight.id}".`;
    yield { rule: "two-ids", text, operations: [other.operation, operation] };
  }
  // The last list of each user.
  const lists = new Map(audits.flatMap((each) => (each.call.verb === "listByUser" ? [[each.call.userId, each]] : [])));
  for (const [userId, list] of lists) yield* checkListAtRest(userId, list, records, expectations);
}

interface AuditedRecord {
  readonly sight: Sight;
  readonly operation: Operation;
}

function* checkListAtRest(
  userId: string,
  list: Operation,
  records: ReadonlyMap<number, AuditedRecord>,
  { expiryPrecisionMs }: Expectations,
): Generator<Violation> {
  const sights = list.answer?.sights ?? [];
  for (const { session, id } of sights) {
    if (records.get(session)?.sight.id === id) continue;
    const text = `At rest the list of ${userId} shows "${id}", which get does not find.`;
    yield { rule: "list-shows-dead", text, operations: [list] };
  }
  const listed = new Set(sights.map(({ session }) => session));
  // What is about to expire may be gone when the list is read.
  const soon = wallAt(list, list.answered) + 2 * expiryPrecisionMs + 1_000;
  for (const { sight, operation } of records.values()) {
    if (sight.userId !== userId || listed.has(sight.session) || sight.expiresAt < soon) continue;
    yield {
      rule: "unlisted",
      text: `At rest the list of ${userId} misses "${sight.id}".`,
      operations: [operation, list],
    };
  }
  const limit = limitOf(userId);
  if (limit && sights.length > limit.max) {
    const text = `At rest ${userId} has ${sights.length} sessions, ${limit.max} are allowed.`;
    yield { rule: "over-limit", text, operations: [list] };
  }
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
