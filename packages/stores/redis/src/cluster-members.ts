import { setTimeout as delay } from "node:timers/promises";
import type { Call } from "@sojourn/core/adapter";
import type { ClusterIndex, Join, Joined } from "./cluster-index.js";
import type { ClusterRecords } from "./cluster-records.js";
import { detachedCall } from "./detached-call.js";
import { isLeftOver, joinForMs, type Member, type ScoredMember } from "./member.js";
import { isTombstone, readOwnership } from "./record.js";
import * as steps from "./scripts/cluster-record.js";
import { settle } from "./scripts/cluster-rename.js";

export type JoinResult =
  | Joined
  /** `duplicate`: one of the sessions that take the places has this very id. */
  | { readonly status: "limitReached" | "duplicate" }
  /** The member that it replaces has been ordered dead. */
  | { readonly status: "ordered" };

/** The outcome of ending sessions. */
export interface Ended {
  /** The members of the sessions that this call ended. */
  readonly ended: readonly Member[];
  /** The members that have no session any more: the index can forget them. */
  readonly gone: readonly Member[];
  /** The members whose records cannot be read. Record and member stay, so that lists report them. */
  readonly corrupt: readonly Member[];
}

/** One session in the index: one member, or two while it is renamed. */
type Indexed = readonly Member[];

interface Decided {
  /** The sessions that live, oldest first. */
  readonly living: readonly Indexed[];
  /** Whether one of them has been renamed since: it lives under another member. */
  readonly hasMoved: boolean;
  /** Members without a session. */
  readonly absent: readonly Member[];
  /** Those of them that the index can forget. */
  readonly gone: readonly Member[];
}

/** A session that a user's list shows: its id and its record, or an unreadable value. */
type Owned = readonly [id: string, value: Buffer];

export interface Healed {
  /** The records that belong to their members, unreadable ones included. */
  readonly owned: readonly Owned[];
  /** How many members had no record although they were not ordered dead. */
  readonly missing: number;
  /** Members whose sessions still have to make room for themselves, and their limits. */
  readonly owing: readonly Owing[];
}

interface Owing extends Pick<Member, "text" | "joinedAt"> {
  readonly max: number;
}

/** Who ends a session: the call that was to end it, or a call that does so for a process that may have died. */
type By = "" | "heal";
type Mode = By | "spare" | "look";

/** How long a call waits for another one whose session is on its way. */
const patienceMs = 250;

/** Keeps the indexes of users true although the records lie on other nodes. */
export class ClusterMembers {
  readonly #records: ClusterRecords;
  readonly #index: ClusterIndex;

  constructor(records: ClusterRecords, index: ClusterIndex) {
    this.#records = records;
    this.#index = index;
  }

  /** Adds a session to the index before its record is written. Before the limit refuses it, finds out which members count. */
  async join(call: Call, userId: string, join: Join): Promise<JoinResult> {
    let without: readonly Member[] = [];
    for (;;) {
      const joined = await this.#index.join(call, userId, { ...join, without });
      switch (joined.status) {
        case "ordered":
          return joined;
        case "full": {
          const { living, absent, gone } = await this.#decide(call, joined.members);
          if (absent.every(({ text }) => without.some((member) => member.text === text))) {
            const isListed = living.some((members) => members.some(({ id }) => id === join.id));
            return { status: isListed ? "duplicate" : "limitReached" };
          }
          await this.#index.remove(call, userId, gone);
          without = absent;
          break;
        }
        case "joined":
          if (joined.leftOver.length > 0) this.#healLater(userId, joined);
          return joined;
      }
    }
  }

  /** Finds out which of the members that joined before it live. */
  rivals(call: Call, { rivals }: Joined): Promise<Decided> {
    return this.#decide(call, rivals);
  }

  /**
   * Ends the oldest sessions beyond the limit, once a session that had rivals is stored. Rivals are those that joined before it:
   * later ones make room themselves.
   *
   * @returns the ids of those that this call ended, oldest first
   */
  async evict(
    call: Call,
    userId: string,
    { text, rivals }: Pick<Joined, "text" | "rivals">,
    decided: Decided,
    max: number,
    by: By = "",
  ): Promise<string[]> {
    const evicted: string[] = [];
    if (rivals.length === 0) return evicted;
    const randoms = new Set(rivals.map(({ random }) => random));
    for (let { living, gone: left, hasMoved } = decided; ; ) {
      const victims = living.slice(0, Math.max(living.length + 1 - max, 0));
      const { ended, gone: over, corrupt } = await this.end(call, victims.flat(), by);
      const gone = [...left, ...over];
      evicted.push(...ended.map(({ id }) => id));
      await this.#index.orderThese(call, userId, corrupt);
      if (!hasMoved && ended.length + corrupt.length >= victims.length) {
        // Not waited for: members without a session are invisible, and found again if they stay.
        this.#index.settle(detachedCall("evict"), userId, text, gone).catch(ignore);
        return evicted;
      }
      // One of them has ended or moved in between.
      await this.#index.remove(call, userId, gone);
      const { now, members } = await this.#index.list(call, userId);
      const alive = members.filter(({ score }) => score >= now);
      if (!alive.some((member) => member.text === text)) return evicted;
      const earlier = alive.filter(({ random }) => randoms.has(random));
      ({ living, gone: left, hasMoved } = await this.#decide(call, earlier));
    }
  }

  /** Makes room for sessions whose processes may have died before they have done so. */
  async evictFor(call: Call, userId: string, owing: readonly Owing[]): Promise<void> {
    for (const { text, joinedAt, max } of owing) {
      const { members, now } = await this.#index.list(call, userId);
      const rivals = members.filter((member) => member.score >= now && member.joinedAt < joinedAt);
      if (rivals.length === 0) await this.#index.settle(call, userId, text, []);
      else await this.evict(call, userId, { text, rivals }, await this.#decide(call, rivals), max, "heal");
    }
  }

  /** Ends sessions, and denies those that have yet to be written: they have to join again. */
  async end(call: Call, members: readonly Member[], by: By): Promise<Ended> {
    const ended = await Promise.all(sessionsOf(members).map((session) => this.#endEach(call, session, by)));
    const having = (...wanted: readonly Outcome[]) =>
      ended.flat().flatMap(({ member, outcome }) => (wanted.includes(outcome) ? [member] : []));
    return {
      ended: having("ended"),
      gone: having("ended", "denied", "moved", "gone", "other"),
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
    const found: (readonly [member: ScoredMember, value: Buffer])[] = [];
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
    const owing = found
      .filter(([{ score }]) => score % 1 !== 0)
      .map(([{ text, joinedAt, score }]) => ({ text, joinedAt, max: (score % 1) * 4_096 }));
    return { owned, missing: living.length - found.length, owing };
  }

  /**
   * Decides which sessions live. Waits a little for those that are still on their way. Then they will not arrive without joining
   * again.
   */
  async #decide(call: Call, members: readonly Member[]): Promise<Decided> {
    const decided = new Map<Indexed, readonly EndedOne[]>();
    const sessions = sessionsOf(members);
    const startedAt = performance.now();
    for (let pauseMs = 1; decided.size < sessions.length; pauseMs *= 2) {
      const isPatient = performance.now() - startedAt < patienceMs;
      const open = sessions.filter((session) => !decided.has(session));
      const looks = await Promise.all(
        open.map((session) => this.#endEach(call, session, isPatient ? "look" : "spare")),
      );
      for (const [n, session] of open.entries()) {
        const outcomes = looks[n] ?? [];
        if (outcomes.some(({ outcome }) => lives(outcome)) || !outcomes.some(({ outcome }) => outcome === "pending")) {
          decided.set(session, outcomes);
        }
      }
      if (decided.size < sessions.length) await delay(pauseMs);
    }
    const isAlive = (session: Indexed) => decided.get(session)?.some(({ outcome }) => lives(outcome)) === true;
    const absent = sessions.filter((session) => !isAlive(session)).flatMap((session) => decided.get(session) ?? []);
    return {
      living: sessions.filter(isAlive),
      hasMoved: absent.some(({ outcome }) => outcome === "moved"),
      absent: absent.map(({ member }) => member),
      // A member whose id is another session's may be of a login that is about to find that out.
      gone: absent.flatMap(({ member, outcome }) => (outcome === "other" ? [] : [member])),
    };
  }

  /** Ends one session: first under its old id, while it has two. Otherwise a rename could carry it past the end. */
  async #endEach(call: Call, session: Indexed, mode: Mode): Promise<readonly EndedOne[]> {
    const ended: EndedOne[] = [];
    for (const member of session) {
      const outcome = await this.#endOne(call, member, mode);
      ended.push({ member, outcome });
      if ((mode === "spare" || mode === "look") && lives(outcome)) break;
    }
    return ended;
  }

  async #endOne(call: Call, { id, membership }: Member, mode: Mode): Promise<Outcome> {
    for (;;) {
      const { status, rest } = await this.#records.run(call, steps.end, id, [membership, joinForMs, mode]);
      if (status !== "arriving") return status;
      const [oldId = "", claim = ""] = rest.map(String);
      if (mode === "look") return (await this.#records.hasMoved(call, oldId, claim)) ? "live" : "pending";
      if ((await this.#records.decide(call, oldId, claim)) === "revoked") return "denied";
      // The arrival is the session.
      if (mode === "spare") return "live";
      await this.#records.run(call, settle, id, [claim, ""]);
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
type Outcome = Exclude<(typeof steps.end)["statuses"][number], "arriving">;

interface EndedOne {
  readonly member: Member;
  readonly outcome: Outcome;
}

/** Whether a session counts. One that cannot be read may be alive. One that a list has ended is still to be reported. */
function lives(outcome: Outcome): boolean {
  return outcome === "live" || outcome === "healed" || outcome === "corrupt";
}

/** Returns the sessions that these members are of, oldest first, each with the member first that joined first. */
function sessionsOf(members: readonly Member[]): Indexed[] {
  const sessions = new Map<string, Member[]>();
  for (const member of members) {
    const known = sessions.get(member.random);
    if (known === undefined) sessions.set(member.random, [member]);
    else known.push(member);
  }
  for (const session of sessions.values()) session.sort((a, b) => a.joinedAt - b.joinedAt);
  return [...sessions.values()].sort(byAge);
}

/** The text of a member begins with the digits of its creation. */
function byAge([a]: Indexed, [b]: Indexed): number {
  const [first, second] = [a?.text ?? "", b?.text ?? ""];
  if (first === second) return 0;
  return first < second ? -1 : 1;
}

function ignore(): void {}
