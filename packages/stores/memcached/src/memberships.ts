import { setTimeout as delay } from "node:timers/promises";
import { isSessionError, SessionError, type SessionLimit } from "@sojourn/core/adapter";
import { expiryPrecisionMs, type Items, type SessionSlot, type UserSlot } from "./items.js";
import type { Member, StoredSession } from "./record.js";
import type { ServerClock } from "./server-clock.js";

/** Writers of one user's item take turns by chance. Who has had none for so long gives up. */
export const contentionMs = 5_000;

/** The writers of one user's item in this process: the turn of the last one, and how many turns have ended. */
interface Turns {
  last: Promise<true> | undefined;
  ended: number;
}

/** From this many members on, and at each power of two, members that ended by themselves are looked for. */
const firstCensus = 16;

/** A place in a user's item. */
export type Place = Pick<Member, "id" | "nonce">;

/** `abandoned`: the session that was to be let in could not be stored; nobody was evicted. */
export type JoinResult =
  | { readonly status: "joined"; readonly evicted: readonly Member[] }
  | { readonly status: "full" }
  | { readonly status: "abandoned" };

/** What has become of a member, by its record. `pending`: the record may be about to name this user. */
export interface Surveyed {
  readonly member: Member;
  readonly state: "live" | "pending" | "ended" | "corrupt";
  readonly slot: SessionSlot | undefined;
  readonly error: SessionError | undefined;
}

/** What is to become of the members, and what to answer. `members` omitted: nothing is written. */
type Decide<Result> = (members: readonly Member[]) => Promise<{ members?: readonly Member[]; result: Result }>;

export interface JoinOptions {
  readonly limit?: SessionLimit | undefined;
  /** Whether the session's record could be stored. Asked before anybody is evicted for it. */
  readonly isStored?: () => Promise<boolean>;
}

/**
 * Who is logged in as whom: one item for each user, changed by compare-and-swap, which is the authority.
 *
 * A session of a user is alive if and only if its record is there and the user's item has its id and nonce. So a user's
 * sessions can be ended, limited and moved in one write, whatever several processes do at the same time.
 */
export class Memberships {
  readonly #items: Items;
  readonly #clock: ServerClock;
  readonly #maxSessionsPerUser: number;
  /** The longest wait for a turn while none ends: a turn is several requests, on a busy machine slow ones. */
  readonly #turnMs: number;
  readonly #turns = new Map<string, Turns>();

  /** @param timeoutMs - of a request */
  constructor(items: Items, clock: ServerClock, maxSessionsPerUser: number, timeoutMs: number) {
    this.#items = items;
    this.#clock = clock;
    this.#maxSessionsPerUser = maxSessionsPerUser;
    this.#turnMs = timeoutMs / 2;
  }

  /** Lets a member in, under the limit. The members evicted are out of the item, but their records are not yet buried. */
  join(userId: string, member: Member, options: JoinOptions = {}, first?: UserSlot): Promise<JoinResult> {
    const { limit, isStored } = options;
    return this.#change<JoinResult>(userId, first, async (members) => {
      const joined = { status: "joined", evicted: [] } as const;
      if (!this.#needsCensus(members.length, limit)) return { members: [...members, member], result: joined };

      await this.#settle(members);
      const surveyed = await this.survey(userId, members);
      const isPresent = ({ state }: Surveyed): boolean => state === "live" || state === "corrupt";
      const present = surveyed.filter(isPresent).map((survey) => ({ ...survey.member, isMoving: false }));
      const surplus = limit === undefined ? 0 : present.length + 1 - limit.max;
      if (surplus > 0 && limit?.whenReached === "reject") return { result: { status: "full" } };
      const evicted = present.sort(byAge).slice(0, Math.max(surplus, 0));
      const kept = present.slice(evicted.length);
      if (kept.length >= this.#maxSessionsPerUser) throw this.#tooMany();
      if (evicted.length > 0 && (await isStored?.()) === false) return { result: { status: "abandoned" } };
      return { members: [...kept, member], result: { status: "joined", evicted } };
    });
  }

  /** Takes a member out. Of several that try one is told true. */
  leave(userId: string, place: Place, first?: UserSlot): Promise<boolean> {
    return this.#change(userId, first, async (members) => {
      const others = members.filter((member) => !isSame(member, place));
      return others.length === members.length ? { result: false } : { members: others, result: true };
    });
  }

  /**
   * Decides a rename: takes a member out, and puts its successor in its place if the user stays.
   *
   * @param former - as it was read before the rename claimed its record
   * @returns false when it has left, or a claim on its record has been ended since
   */
  replace(userId: string, former: Member, successor: Member | undefined, first?: UserSlot): Promise<boolean> {
    return this.#change(userId, first, async (members) => {
      const current = members.find((member) => isSame(member, former));
      if (current?.claimsEnded !== former.claimsEnded) return { result: false };
      const replaced = members.map((member) => (member === current ? successor : member));
      return { members: replaced.filter((member) => member !== undefined), result: true };
    });
  }

  /**
   * Makes sure that no rename takes that has claimed the member's record so far, however late its write arrives.
   *
   * @returns false when it is no member
   */
  endClaims(userId: string, place: Place, first?: UserSlot): Promise<boolean> {
    return this.#change(userId, first, async (members) => {
      if (!members.some((member) => isSame(member, place))) return { result: false };
      const ended = members.map((member) =>
        isSame(member, place) ? { ...member, claimsEnded: member.claimsEnded + 1 } : member,
      );
      return { members: ended, result: true };
    });
  }

  /** Keeps the user's item at least as long as the member is to live. */
  async prolong(userId: string, place: Place, expiresAt: number, first?: UserSlot): Promise<void> {
    await this.#change(userId, first, async (members) => {
      const isShort = (member: Member): boolean => isSame(member, place) && member.expiresAt < expiresAt;
      if (!members.some(isShort)) return { result: undefined };
      const prolonged = members.map((member) => (isShort(member) ? { ...member, expiresAt } : member));
      return { members: prolonged, result: undefined };
    });
  }

  /** Announces that the member's record is about to name another user. @returns false when it is no member */
  mark(userId: string, place: Place, first?: UserSlot): Promise<boolean> {
    // Written also where it is marked already: who has settled that mark must see a new one.
    return this.#change(userId, first, async (members) => {
      if (!members.some((member) => isSame(member, place))) return { result: false };
      const marked = members.map((member) => (isSame(member, place) ? { ...member, isMoving: true } : member));
      return { members: marked, result: true };
    });
  }

  /** Takes out all members but one. Their records are not yet buried. */
  empty(userId: string, except: string | undefined): Promise<readonly Member[]> {
    return this.#change<readonly Member[]>(userId, undefined, async (members) => {
      const removed = members.filter(({ id }) => id !== except);
      if (removed.length === 0) return { result: [] };
      await this.#settle(removed);
      return { members: members.filter(({ id }) => id === except), result: removed };
    });
  }

  /** The members with their records, at one moment. Members that have ended are taken out. */
  list(userId: string): Promise<readonly Surveyed[]> {
    return this.#change<readonly Surveyed[]>(userId, undefined, async (members) => {
      const result = await this.survey(userId, members);
      if (result.every(({ state }) => state === "live" || state === "corrupt")) return { result };
      // A member without a record has ended, or was renamed since the item was read: then this write fails.
      const present = result.filter(({ state }) => state !== "ended");
      return { members: present.map(({ member }) => member), result };
    });
  }

  /** One wait for any number of members. */
  survey(userId: string, members: readonly Member[]): Promise<Surveyed[]> {
    return Promise.all(members.map((member) => this.#surveyOne(userId, member)));
  }

  /**
   * Removes the records of members that have been taken out: nothing brings them back.
   *
   * @returns the ids of those that were alive
   */
  async bury(userId: string, members: readonly Member[]): Promise<string[]> {
    const buried = await Promise.all(members.map((member) => this.#buryOne(userId, member)));
    return members.filter((_, index) => buried[index]).map(({ id }) => id);
  }

  isOver(session: StoredSession): boolean {
    return this.#clock.now() >= session.expiresAt + expiryPrecisionMs;
  }

  async #surveyOne(userId: string, member: Member): Promise<Surveyed> {
    try {
      const slot = await this.#items.session(member.id);
      const session = slot.value;
      const isTheirs = session?.userId === userId && session.nonce === member.nonce;
      if (isTheirs) return { member, state: this.isOver(session) ? "ended" : "live", slot, error: undefined };
      return { member, state: member.isMoving ? "pending" : "ended", slot, error: undefined };
    } catch (error) {
      if (isSessionError(error, "CORRUPT")) return { member, state: "corrupt", slot: undefined, error };
      throw error;
    }
  }

  async #buryOne(userId: string, member: Member): Promise<boolean> {
    for (let attempt = 0; ; attempt++) {
      const { state, slot } = await this.#surveyOne(userId, member);
      if (state !== "live" || slot === undefined) return false;
      if (await this.#items.remove(slot)) return true;
      await backOff(attempt);
    }
  }

  /**
   * Makes sure that no record of a member changes hands before the user's item has changed: whoever moves one has to mark
   * it first, and has to begin anew when the record was written since. So who takes members out knows whose they are.
   */
  async #settle(members: readonly Member[]): Promise<void> {
    await Promise.all(members.filter(({ isMoving }) => isMoving).map(({ id }) => this.#settleOne(id)));
  }

  async #settleOne(id: string): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const slot = await this.#items.session(id).catch(ignoreCorrupt);
      if (slot?.value === undefined) return;
      // A rename has written the record, and nobody moves it meanwhile.
      const { claimedUntil } = slot.value;
      if (claimedUntil !== undefined && this.#clock.now() < claimedUntil) return;
      if (await this.#items.saveSession(slot, slot.value)) return;
      await backOff(attempt);
    }
  }

  /**
   * The writers of this process take turns at a user's item, so that they do not spoil each other's writes. Nobody waits
   * while no turn ends: who has it may be waiting for a server that hangs.
   */
  async #change<Result>(userId: string, first: UserSlot | undefined, decide: Decide<Result>): Promise<Result> {
    const turns = this.#turns.get(userId) ?? { last: undefined, ended: 0 };
    this.#turns.set(userId, turns);
    const previous = turns.last;
    const change = async (): Promise<Result> => {
      if (previous === undefined) return this.#swap(userId, first, decide);
      for (let isMine = false, ended = -1; !isMine && ended !== turns.ended; ) {
        ended = turns.ended;
        isMine = await Promise.race([previous, delay(this.#turnMs, false, { ref: false })]);
      }
      return this.#swap(userId, undefined, decide);
    };
    const changing = change();
    const turn: Promise<true> = changing.then(ignore, ignore).then(() => {
      turns.ended++;
      if (turns.last === turn) this.#turns.delete(userId);
      return true;
    });
    turns.last = turn;
    return changing;
  }

  /**
   * Reads, decides, compare-and-swaps, and starts over when another writer was faster.
   *
   * @param first - what has been read already, to save the first reading
   */
  async #swap<Result>(userId: string, first: UserSlot | undefined, decide: Decide<Result>): Promise<Result> {
    const startedAt = performance.now();
    for (let attempt = 0; ; attempt++) {
      const slot = attempt === 0 && first !== undefined ? first : await this.#items.user(userId);
      const { members, result } = await decide(slot.value ?? []);
      if (members === undefined || (await this.#items.saveUser(slot, members))) return result;
      if (performance.now() - startedAt > contentionMs) throw contention();
      await backOff(attempt);
    }
  }

  #needsCensus(count: number, limit: SessionLimit | undefined): boolean {
    if (count >= this.#maxSessionsPerUser || (limit !== undefined && count >= limit.max)) return true;
    return count >= firstCensus && (count & (count - 1)) === 0;
  }

  #tooMany(): SessionError {
    return new SessionError(
      "LIMIT_REACHED",
      `@sojourn/memcached: a user has at most ${this.#maxSessionsPerUser} sessions (option "maxSessionsPerUser")`,
    );
  }
}

export function isSame(member: Member, { id, nonce }: Place): boolean {
  return member.id === id && member.nonce === nonce;
}

/** A pause by chance, longer with each attempt, before what another writer has spoilt is tried again. */
export async function backOff(attempt: number): Promise<void> {
  if (attempt >= 2) await delay(Math.random() * Math.min(attempt, 16));
}

export function contention(): SessionError {
  const message = `@sojourn/memcached: other writers of one session or user were faster for ${contentionMs} ms`;
  return new SessionError("CONFLICT", message);
}

function ignore(): void {}

function ignoreCorrupt(error: unknown): undefined {
  if (!isSessionError(error, "CORRUPT")) throw error;
}

function byAge(a: Member, b: Member): number {
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
}
