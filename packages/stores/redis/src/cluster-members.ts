import type { Call } from "@sojourn/core/adapter";
import type { ClusterIndex, Join, Joined } from "./cluster-index.js";
import type { ClusterRecords } from "./cluster-records.js";
import { detachedCall } from "./detached-call.js";
import { isLeftOver, joinForMs, type Member, type ScoredMember } from "./member.js";
import { isTombstone, readOwnership } from "./record.js";
import * as steps from "./scripts/cluster-record.js";

export type JoinResult =
  | Joined
  /** `duplicate`: one of the sessions that take the places has this very id. */
  | { readonly status: "limitReached" | "duplicate" }
  /** The member that it replaces has been ordered dead. */
  | { readonly status: "ordered" };

/** The outcome of an order to end sessions. */
export interface Ended {
  /** The members of the sessions that this call ended. */
  readonly ended: readonly Member[];
  /** The members of sessions that were still on their way, and will not arrive. */
  readonly denied: readonly Member[];
  /** The members that have no session any more: the index can forget them. */
  readonly gone: readonly Member[];
  /** The members whose records cannot be read. Record and member stay, so that lists report them. */
  readonly corrupt: readonly Member[];
}

/** A session that a user's list shows: its id and its record, or an unreadable value. */
type Owned = readonly [id: string, value: Buffer];

export interface Healed {
  /** The records that belong to their members, unreadable ones included. */
  readonly owned: readonly Owned[];
  /** How many members had no record although they were not ordered dead. */
  readonly missing: number;
  /** How many members were removed. */
  readonly removed: number;
}

/** Who ends sessions: the call that has ordered them dead, or a call that finishes the order of a process that may have died. */
type By = "order" | "heal";

/** Keeps the indexes of users true although the records lie on other nodes. */
export class ClusterMembers {
  readonly #records: ClusterRecords;
  readonly #index: ClusterIndex;

  constructor(records: ClusterRecords, index: ClusterIndex) {
    this.#records = records;
    this.#index = index;
  }

  /** Adds a session to the index before its record is written. Of a full index it first heals what a dead process left. */
  async join(call: Call, userId: string, join: Join): Promise<JoinResult> {
    for (;;) {
      const joined = await this.#index.join(call, userId, join);
      switch (joined.status) {
        case "ordered":
          return joined;
        case "full": {
          const { members, now } = joined;
          const { removed } = await this.heal(call, userId, members, now, (id) => this.#records.head(call, id));
          if (removed > 0) continue;
          return { status: members.some(({ id }) => id === join.id) ? "duplicate" : "limitReached" };
        }
        case "joined":
          if (joined.leftOver.length > 0) this.#healLater(userId, joined);
          return joined;
      }
    }
  }

  /** Ends the sessions that a join has ordered dead. Returns the ids of those that this call ended, oldest first. */
  async evict(call: Call, userId: string, { victims }: Joined): Promise<string[]> {
    if (victims.length === 0) return [];
    const { ended, denied, gone } = await this.end(call, victims, "order");
    // Not waited for: members that are ordered dead are invisible, and found again if they stay.
    this.#index.remove(detachedCall("evict"), userId, gone).catch(ignore);
    // A session that is renamed meanwhile has two members, and ends once.
    const alive = new Set(ended.map(({ random }) => random));
    const evicted = new Set([...ended, ...denied.filter(({ random }) => !alive.has(random))]);
    return victims.filter((victim) => evicted.has(victim)).map(({ id }) => id);
  }

  /** Ends sessions that have been ordered dead, and denies those that have yet to be written. */
  async end(call: Call, members: readonly Member[], by: By): Promise<Ended> {
    const outcomes = await Promise.all(members.map((member) => this.#endOne(call, member, by)));
    const having = (...wanted: readonly Outcome[]) =>
      members.filter((_, n) => wanted.some((outcome) => outcome === outcomes[n]));
    return {
      ended: having("ended"),
      denied: having("denied"),
      gone: having("ended", "denied", "gone", "other"),
      corrupt: having("corrupt"),
    };
  }

  /** Lets a session of the user live until `expires`, in the index too. */
  async raise(call: Call, userId: string, member: Member, expires: number): Promise<void> {
    if ((await this.#index.raise(call, userId, member.text, expires)) !== "absent") return;
    // The index has been lost, or the session has ended meanwhile. Added first and looked at afterwards, the session is
    // listed whenever it is alive.
    await this.#index.add(call, userId, member.text, expires);
    const head = await this.#records.head(call, member.id);
    if (readOwnership(head ?? Buffer.alloc(0))?.membership !== member.membership) {
      await this.#index.remove(call, userId, [member]);
    }
  }

  /**
   * Compares members with their records, and heals what a process left behind that died half-way: carries orders out, removes
   * members that never got a record, raises scores that lag behind.
   */
  async heal(
    call: Call,
    userId: string,
    members: readonly ScoredMember[],
    now: number,
    read: (id: string) => Promise<Buffer | undefined>,
  ): Promise<Healed> {
    const living = members.filter(({ score }) => score > 0);
    const ordered = members.filter(({ score }) => score < 0);
    const readAll = (of: readonly Member[]) => Promise.all(of.map(({ id }) => read(id)));
    const [values, { gone, corrupt }] = await Promise.all([readAll(living), this.end(call, ordered, "heal")]);
    const found: (readonly [member: Member, value: Buffer])[] = [];
    const removed: Member[] = [...gone];
    const raising: Promise<void>[] = [];
    for (const [n, member] of living.entries()) {
      const { value, expiresAt } = recordOf(member, values[n]);
      if (value !== undefined) found.push([member, value]);
      else if (isLeftOver(member, now) || (isAbsent(values[n]) && member.score < now)) removed.push(member);
      if (expiresAt > member.score) raising.push(this.raise(call, userId, member, expiresAt));
    }
    const [unreadable] = await Promise.all([readAll(corrupt), this.#index.remove(call, userId, removed), ...raising]);
    const owned = withoutMoved(found);
    for (const [n, { id }] of corrupt.entries()) {
      const value = unreadable[n];
      if (value !== undefined && !isAbsent(value) && readOwnership(value) === undefined) owned.push([id, value]);
    }
    return { owned, missing: living.length - found.length, removed: removed.length };
  }

  async #endOne(call: Call, { id, membership }: Member, by: By): Promise<Outcome> {
    const { status, rest } = await this.#records.run(call, steps.end, id, [membership, joinForMs, by]);
    switch (status) {
      case "ended":
      case "denied":
      case "gone":
      case "other":
      case "corrupt":
        return status;
      case "arriving": {
        const [oldId, claim] = rest.map(String);
        // Once the old id is dead, the arrival is the session.
        return (await this.#records.hasMoved(call, oldId ?? "", claim ?? "")) ? "ended" : "denied";
      }
    }
  }

  /** Not waited for: left-overs are invisible, and found again if this fails. */
  #healLater(userId: string, { leftOver, now }: Joined): void {
    const call = detachedCall("heal");
    this.heal(call, userId, leftOver, now, (id) => this.#records.head(call, id)).catch(ignore);
  }
}

/** Whether no session, readable or not, has the key. */
function isAbsent(value: Buffer | undefined): boolean {
  return value === undefined || isTombstone(value);
}

/** Returns the value of a key if it is the member's record or cannot be read, and when that record expires. */
function recordOf(
  { membership }: Member,
  value: Buffer | undefined,
): { readonly value: Buffer | undefined; readonly expiresAt: number } {
  const none = { value: undefined, expiresAt: 0 };
  if (value === undefined || isAbsent(value)) return none;
  const ownership = readOwnership(value);
  if (ownership === undefined) return { value, expiresAt: 0 };
  return ownership.membership === membership ? { value, expiresAt: ownership.expiresAt } : none;
}

/** Leaves a session out under its old id when a rename has moved it between the two reads. */
function withoutMoved(found: readonly (readonly [member: Member, value: Buffer])[]): Owned[] {
  const latest = new Map<string, number>();
  for (const [{ random, joinedAt }] of found) latest.set(random, Math.max(joinedAt, latest.get(random) ?? 0));
  return found
    .filter(([{ random, joinedAt }]) => joinedAt === latest.get(random))
    .map(([{ id }, value]) => [id, value]);
}

/** `other`: the session of the id is of another membership, and lives. */
type Outcome = "ended" | "denied" | "gone" | "other" | "corrupt";

function ignore(): void {}
