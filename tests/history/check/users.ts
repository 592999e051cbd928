import { limitOf } from "../generator.js";
import type { Operation } from "../operation.js";
import { type Expectations, type Facts, isRefused, isUnknown, type Life, settledAt, type Violation } from "./facts.js";
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
  { isIndexAtomic, isLimitAtomic }: Expectations,
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
  const limit = limitOf(userId);
  if (limit && isLimitAtomic && isIndexAtomic && listed.size > limit.max) {
    const text = `${userId} has ${listed.size} sessions, ${limit.max} are allowed.`;
    yield { rule: "over-limit", text, operations: [list] };
  }
  for (const life of owners.of(userId)) {
    if (listed.has(life.session)) continue;
    const before = seenBefore(life, list.invoked);
    const after = before && seenAfter(life, list.answered);
    if (!before || !after || !belongsThroughout(life, userId, before, after)) continue;
    if (!isIndexAtomic && isMoving(facts, life.session, list)) continue;
    const text = `The list of ${userId} misses "${before.sight.id}", alive before and after it.`;
    yield { rule: "list-misses", text, operations: [before.operation, list, after.operation] };
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
  for (const life of owners.of(userId)) {
    if (except !== undefined && life.stays.has(except)) continue;
    const before = seenBefore(life, logOut.invoked);
    const after = before && seenAfter(life, logOut.answered);
    if (!before || !after || !belongsThroughout(life, userId, before, after)) continue;
    const text = `"${before.sight.id}" existed when ${userId} was logged out everywhere, and is alive afterwards.`;
    yield { rule: "survived-log-out", text, operations: [before.operation, logOut, after.operation] };
  }
}

/** A limit neither refuses nor evicts before it is reached, and evicts the oldest. */
function* checkLimit(owners: Owners, gain: Operation): Generator<Violation> {
  const { call, answer } = gain;
  if (!("limit" in call) || !call.limit || !("userId" in call) || !call.userId || answer === undefined) return;
  const { ended, status } = answer;
  const subject = "tag" in call ? answer.sights[0]?.session : undefined;
  if (status === "limitReached" || ended.length > 0) {
    const others = owners.of(call.userId).filter((life) => life.session !== subject && owners.mayLive(life, gain));
    const needed = status === "limitReached" ? call.limit.max : call.limit.max - 1 + ended.length;
    if (others.length < needed) {
      const act = status === "limitReached" ? "refused a session" : `evicted ${ended.length}`;
      const text = `A ${call.verb} for ${call.userId} ${act} of at most ${others.length} others, ${call.limit.max} are allowed.`;
      yield { rule: "limit-too-strict", text, operations: [gain] };
    }
  }
  for (const id of ended) {
    const evicted = owners.of(call.userId).filter((life) => {
      const stay = life.stays.get(id);
      return (
        stay && stay.first.to < gain.invoked && stay.last.from <= gain.answered && (stay.left?.to ?? 0) >= gain.invoked
      );
    });
    const createdAt = evicted.length === 1 ? evicted[0]?.presences[0]?.sight.createdAt : undefined;
    if (createdAt === undefined) continue;
    for (const life of owners.of(call.userId)) {
      if (life.session === subject || (life.presences[0]?.sight.createdAt ?? createdAt) >= createdAt) continue;
      const before = seenBefore(life, gain.invoked);
      const after = before && seenAfter(life, gain.answered);
      if (!before || !after || !belongsThroughout(life, call.userId, before, after)) continue;
      const text = `A ${call.verb} for ${call.userId} evicted "${id}", although "${before.sight.id}" is older and lives on.`;
      yield { rule: "evicted-newer", text, operations: [before.operation, gain, after.operation] };
    }
  }
}

/** Which sessions may have belonged to a user, some time. */
class Owners {
  readonly #byUser = new Map<string, Set<Life>>();
  readonly #lists = new Map<string, readonly Life[]>();
  readonly #moving: ReadonlySet<string>;

  constructor({ lives, byFamily }: Facts) {
    const moving = new Set<string>();
    const strangers = new Map<string, Set<string>>();
    for (const [family, operations] of byFamily) {
      for (const operation of operations) {
        const { call } = operation;
        if (!isUnknown(operation)) continue;
        if (call.verb === "rename") moving.add(family);
        if ((call.verb === "rename" || call.verb === "update") && call.userId) {
          strangers.set(family, (strangers.get(family) ?? new Set()).add(call.userId));
        }
      }
    }
    this.#moving = moving;
    for (const life of lives.values()) {
      const { userId } = life.creation.call;
      const isBorn = !isRefused(life.creation) || life.presences.length > 0;
      if (!isBorn) continue;
      const users = new Set([userId, ...life.users.values(), ...(strangers.get(life.family) ?? [])]);
      for (const user of users) {
        if (user !== undefined) this.#byUser.set(user, (this.#byUser.get(user) ?? new Set()).add(life));
      }
    }
  }

  of(userId: string): readonly Life[] {
    const known = this.#lists.get(userId);
    if (known !== undefined) return known;
    const lives = [...(this.#byUser.get(userId) ?? [])];
    this.#lists.set(userId, lives);
    return lives;
  }

  /** Whether a session can have been alive at some moment of an operation. */
  mayLive(life: Life, { invoked, answered }: Operation): boolean {
    if (life.creation.invoked > answered) return false;
    if (life.stays.size === 0 || this.#moving.has(life.family)) return true;
    let last = 0;
    for (const stay of life.stays.values()) last = Math.max(last, stay.left?.to ?? Number.POSITIVE_INFINITY);
    return last >= invoked;
  }
}

/** At rest: lists agree with records, no session has two ids, nobody has more sessions than allowed. */
export function* checkAudit({ operations }: Facts, { expiryPrecisionMs }: Expectations): Generator<Violation> {
  const audits = operations.filter(({ isAudit, answer }) => isAudit && answer?.status !== "failed");
  const records = new Map<number, Operation>();
  for (const operation of audits) {
    const [sight] = operation.answer?.sights ?? [];
    if (operation.call.verb !== "get" || sight === undefined) continue;
    const other = records.get(sight.session);
    if (other !== undefined) {
      const text = `At rest one session is alive as "${sight.id}" and as "${other.answer?.sights[0]?.id}".`;
      yield { rule: "two-ids", text, operations: [other, operation] };
    }
    records.set(sight.session, operation);
  }
  // The last list of each user.
  const lists = new Map(audits.flatMap((each) => (each.call.verb === "listByUser" ? [[each.call.userId, each]] : [])));
  for (const [userId, list] of lists) {
    const sights = list.answer?.sights ?? [];
    const now = list.invokedAt + (list.answered - list.invoked) + 2 * expiryPrecisionMs + 1_000;
    const listed = new Set(sights.map(({ session }) => session));
    for (const sight of sights) {
      if (records.get(sight.session)?.answer?.sights[0]?.id === sight.id) continue;
      const text = `At rest the list of ${userId} shows "${sight.id}", which get does not find.`;
      yield { rule: "list-shows-dead", text, operations: [list] };
    }
    for (const [session, operation] of records) {
      const [sight] = operation.answer?.sights ?? [];
      if (sight?.userId !== userId || listed.has(session) || sight.expiresAt < now) continue;
      const text = `At rest the list of ${userId} misses "${sight.id}".`;
      yield { rule: "unlisted", text, operations: [operation, list] };
    }
    const limit = limitOf(userId);
    if (limit && sights.length > limit.max) {
      const text = `At rest ${userId} has ${sights.length} sessions, ${limit.max} are allowed.`;
      yield { rule: "over-limit", text, operations: [list] };
    }
  }
}

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
