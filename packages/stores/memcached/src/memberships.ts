import { SessionError, type SessionLimit } from "@sojourn/core/adapter";
import { untilWon } from "./contention.js";
import type { Exchange } from "./exchange.js";
import type { Items, UserSlot } from "./items.js";
import { atRest, byAge, isPresent, isSame, type Place, withoutClaim, withoutOrdered } from "./members.js";
import type { Member } from "./record.js";
import type { Survey, Surveyed } from "./survey.js";
import { Turns } from "./turns.js";

/** From this many members on, and at each power of two, members that ended by themselves are looked for. */
const firstCensus = 16;

export type JoinResult =
  /** `ordered`: members that were taken out to make room, oldest first. Their records are still to be ended. */
  | { readonly status: "joined"; readonly ordered: readonly Member[] }
  | { readonly status: "limitReached" }
  /** The record of the new member could not be stored. Nothing was written. */
  | { readonly status: "abandoned" };

export type ClaimResult =
  /** `slot`: the user's item as written. `ordered`: members whose sessions end when the new one arrives, oldest first. */
  | { readonly status: "claimed"; readonly slot: UserSlot; readonly ordered: readonly Member[] }
  | { readonly status: "limitReached" }
  /** The place to be left is not there any more. */
  | { readonly status: "missing" }
  /** An arrival has ordered the place that is to be left. */
  | { readonly status: "ordered" };

type Refusal = Exclude<ClaimResult, { status: "claimed" }>;

/** `members` omitted: nothing is written. */
type Decide<Result> = (members: readonly Member[]) => Promise<{ members?: readonly Member[]; result: Result }>;

interface Changed<Result> {
  readonly result: Result;
  readonly slot: UserSlot;
}

/**
 * The sessions of each user: one item, changed by compare-and-swap, which is the authority.
 *
 * A session with a user is alive if and only if its record is there and the user's item has its id and nonce. So the
 * sessions of a user are ended and limited in one write, whatever several processes do at the same time. A member that
 * arrives from another id or user is in the item before its record decides. It has then ordered the members that make room
 * for it: their sessions end in that same write, and not at all if the arrival is given up.
 */
export class Memberships {
  readonly #items: Items;
  readonly #survey: Survey;
  readonly #maxSessionsPerUser: number;
  readonly #turns = new Turns();

  constructor(items: Items, survey: Survey, maxSessionsPerUser: number) {
    this.#items = items;
    this.#survey = survey;
    this.#maxSessionsPerUser = maxSessionsPerUser;
  }

  /**
   * Adds a new session, under the limit.
   *
   * @param isStored - whether the session's record was stored; asked before any member is ordered
   */
  async join(
    userId: string,
    member: Member,
    { limit, isStored }: { readonly limit: SessionLimit | undefined; readonly isStored: () => Promise<boolean> },
    exchange: Exchange,
    first?: UserSlot,
  ): Promise<JoinResult> {
    const { result } = await this.#change<JoinResult>(userId, exchange, first, async (members) => {
      const room = await this.#makeRoom(userId, members, limit, exchange);
      if (room === undefined) return { result: { status: "limitReached" } };
      const { kept, ordered } = room;
      if (ordered.length > 0 && !(await isStored())) return { result: { status: "abandoned" } };
      return { members: [...kept, member], result: { status: "joined", ordered } };
    });
    return result;
  }

  /** Adds a session that arrives from another user, or from none, under the limit. It orders members that must go. */
  claim(
    userId: string,
    arrival: Member,
    limit: SessionLimit | undefined,
    exchange: Exchange,
    first?: UserSlot,
  ): Promise<ClaimResult> {
    return this.#claim(userId, exchange, first, async (members) => {
      const room = await this.#makeRoom(userId, members, limit, exchange);
      if (room === undefined) return { status: "limitReached" };
      const ordered = room.ordered.map((member) => ({ ...member, orderedBy: arrival.nonce }));
      return { members: [...room.kept, ...ordered, arrival], ordered };
    });
  }

  /**
   * Announces that the record of a member may be about to leave.
   *
   * @param arrival - the place that the session gets instead, where the user stays
   */
  depart(
    userId: string,
    { place, until, arrival }: { readonly place: Place; readonly until: number; readonly arrival: Member | undefined },
    exchange: Exchange,
    first?: UserSlot,
  ): Promise<ClaimResult> {
    return this.#claim(userId, exchange, first, async (members) => {
      const current = members.find((member) => isSame(member, place));
      if (current === undefined) return { status: "missing" };
      if (current.orderedBy !== undefined) return { status: "ordered" };
      // Written also where it is announced already: `Survey.settle` relies on a new token.
      const announced = withoutOrdered(members, place).map((member) =>
        member === current ? { ...member, movingUntil: until } : member,
      );
      return { members: arrival === undefined ? announced : [...announced, arrival], ordered: [] };
    });
  }

  /**
   * Ends a claim whose session has arrived.
   *
   * @param former - the place that the session has left, where the user has stayed
   */
  async arrive(
    userId: string,
    place: Place,
    former: Place | undefined,
    exchange: Exchange,
    first?: UserSlot,
  ): Promise<void> {
    await this.#change(userId, exchange, first, async (members) => {
      const others = withoutOrdered(members, place).filter((member) => !former || !isSame(member, former));
      const settled = others.map((member) => (isSame(member, place) ? { ...member, movingUntil: undefined } : member));
      return { members: settled, result: undefined };
    });
  }

  /** Takes out the members that a live session had ordered, before its record may go. */
  async fulfil(userId: string, place: Place, exchange: Exchange, first: UserSlot | undefined): Promise<void> {
    const hasOrdered = (members: readonly Member[]) => members.some(({ orderedBy }) => orderedBy === place.nonce);
    if (first?.value === undefined || !hasOrdered(first.value)) return;
    await this.#change(userId, exchange, undefined, async (members) => {
      return hasOrdered(members)
        ? { members: withoutOrdered(members, place), result: undefined }
        : { result: undefined };
    });
  }

  /** Takes back a claim whose session does not arrive, with its orders. */
  async cancel(userId: string, place: Place, exchange: Exchange, first?: UserSlot): Promise<void> {
    await this.#change(userId, exchange, first, async (members) => {
      return members.some((member) => isSame(member, place))
        ? { members: withoutClaim(members, place), result: undefined }
        : { result: undefined };
    });
  }

  /** Takes out a member whose record is gone. */
  async leave(userId: string, place: Place, exchange: Exchange, first?: UserSlot): Promise<void> {
    await this.#change(userId, exchange, first, async (members) => {
      const others = members.filter((member) => !isSame(member, place));
      return others.length === members.length ? { result: undefined } : { members: others, result: undefined };
    });
  }

  /** Keeps the user's item at least as long as the member is to live. */
  async prolong(userId: string, place: Place, expiresAt: number, exchange: Exchange, first?: UserSlot): Promise<void> {
    await this.#change(userId, exchange, first, async (members) => {
      const isShort = (member: Member): boolean => isSame(member, place) && member.expiresAt < expiresAt;
      if (!members.some(isShort)) return { result: undefined };
      const prolonged = members.map((member) => (isShort(member) ? { ...member, expiresAt } : member));
      return { members: prolonged, result: undefined };
    });
  }

  /** Takes out all members but one, which ends their sessions. Their records are still to be ended. */
  async order(userId: string, except: string | undefined, exchange: Exchange): Promise<readonly Member[]> {
    const { result } = await this.#change<readonly Member[]>(userId, exchange, undefined, async (members) => {
      const ordered = members.filter(({ id }) => id !== except);
      if (ordered.length === 0) return { result: [] };
      await this.#survey.settle(ordered, exchange);
      const spared = members.filter(({ id }) => id === except);
      return { members: await this.#withoutOrders(userId, spared, members, exchange), result: ordered };
    });
    return result;
  }

  /** Surveys the members at one moment. Members that have ended are taken out. */
  async list(userId: string, exchange: Exchange): Promise<readonly Surveyed[]> {
    const { result } = await this.#change<readonly Surveyed[]>(userId, exchange, undefined, async (members) => {
      let surveyed: readonly Surveyed[] = await this.#survey.all(userId, members, exchange);
      if (surveyed.some((survey) => survey.status === "pending" && survey.isStale)) {
        surveyed = await this.#settled(userId, members, exchange);
        return { members: surveyed.filter(isPresent).map(atRest), result: surveyed };
      }
      const has = (status: Surveyed["status"]): boolean => surveyed.some((survey) => survey.status === status);
      // A rename that ended one of them has made another one live, perhaps after that one was read.
      if (has("ended") && has("pending")) surveyed = await this.#survey.all(userId, members, exchange);
      if (!has("ended")) return { result: surveyed };
      // A member without a record has ended, or was renamed since the item was read: then this write fails.
      const others = surveyed.filter(({ status }) => status !== "ended").map(({ member }) => member);
      return { members: others, result: surveyed };
    });
    return result;
  }

  /** Takes back claims that stand in the way, as of a process that died: their sessions have arrived, or begin again. */
  async heal(userId: string, exchange: Exchange): Promise<void> {
    await this.#change(userId, exchange, undefined, async (members) => {
      const surveyed = await this.#settled(userId, members, exchange);
      return { members: surveyed.filter(isPresent).map(atRest), result: undefined };
    });
  }

  async #claim(
    userId: string,
    exchange: Exchange,
    first: UserSlot | undefined,
    decide: (
      members: readonly Member[],
    ) => Promise<Refusal | { readonly members: readonly Member[]; readonly ordered: readonly Member[] }>,
  ): Promise<ClaimResult> {
    type Decision = Refusal | { readonly ordered: readonly Member[] };
    const { result, slot } = await this.#change<Decision>(userId, exchange, first, async (members) => {
      const decision = await decide(members);
      return "status" in decision ? { result: decision } : { members: decision.members, result: decision };
    });
    return "status" in result ? result : { status: "claimed", slot, ordered: result.ordered };
  }

  /** Surveys members so that those on the move arrive before the user's item changes, or begin again after it. */
  async #settled(userId: string, members: readonly Member[], exchange: Exchange): Promise<readonly Surveyed[]> {
    await this.#survey.settle(members, exchange);
    return this.#survey.all(userId, members, exchange);
  }

  /**
   * Looks for members that must go before one more fits. All records are read where there may be any.
   *
   * @returns `undefined` where the limit refuses
   */
  async #makeRoom(
    userId: string,
    members: readonly Member[],
    limit: SessionLimit | undefined,
    exchange: Exchange,
  ): Promise<{ readonly kept: readonly Member[]; readonly ordered: readonly Member[] } | undefined> {
    if (!this.#needsCensus(members.length, limit)) return { kept: members, ordered: [] };
    const surveyed = await this.#settled(userId, members, exchange);
    const present = surveyed.filter(isPresent).map(atRest).sort(byAge);
    const surplus = limit === undefined ? 0 : Math.max(0, present.length + 1 - limit.max);
    if (surplus > 0 && limit?.whenReached === "reject") return undefined;
    const kept = present.slice(surplus);
    if (kept.length >= this.#maxSessionsPerUser) throw this.#tooMany();
    return { kept, ordered: present.slice(0, surplus) };
  }

  /** Returns the members that live on when the other ones have been taken out, free of orders. */
  async #withoutOrders(
    userId: string,
    spared: readonly Member[],
    members: readonly Member[],
    exchange: Exchange,
  ): Promise<readonly Member[]> {
    if (spared.every(({ orderedBy }) => orderedBy === undefined)) return spared;
    const surveyed = await this.#survey.all(userId, members, exchange);
    const living = surveyed.filter(({ status, member }) => status !== "ended" && spared.includes(member));
    return living.map(({ member }) => ({ ...member, orderedBy: undefined }));
  }

  /**
   * Reads a user's item, decides, compare-and-swaps, and begins again when another writer was faster.
   *
   * @param first - the item as it was read already, to save the first reading
   */
  async #change<Result>(
    userId: string,
    exchange: Exchange,
    first: UserSlot | undefined,
    decide: Decide<Result>,
  ): Promise<Changed<Result>> {
    return this.#turns.take(userId, (hasWaited) =>
      untilWon(exchange, async (count): Promise<Changed<Result> | undefined> => {
        const isKnown = first !== undefined && count === 0 && !hasWaited;
        const slot = isKnown ? first : await this.#items.user(userId, exchange);
        const { members, result } = await decide(slot.value ?? []);
        if (members === undefined) return { result, slot };
        const written = await this.#items.saveUser(slot, members, exchange);
        return written && { result, slot: written };
      }),
    );
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
