import { LRUCache } from "lru-cache";
import { untilWon } from "./contention.js";
import type { Exchange } from "./exchange.js";
import type { Items, SessionSlot, UserSlot } from "./items.js";
import { isSame } from "./members.js";
import type { Memberships } from "./memberships.js";
import type { Member, StoredSession } from "./record.js";
import type { FoundRecord, PresentRecord, Records } from "./records.js";
import type { ServerClock } from "./server-clock.js";
import type { Survey } from "./survey.js";

/** A process remembers the user of so many sessions, and reads their record and user's item in one wait. */
const rememberedSessions = 10_000;

/** The items that were read of the session's user, and of the user that it is to have. */
type UserSlots = ReadonlyMap<string, UserSlot | undefined>;

export interface LiveSession {
  readonly status: "live";
  readonly slot: SessionSlot;
  readonly session: StoredSession;
  readonly users: UserSlots;
}

/** An id, with the items that it takes to change its session. */
export type Found =
  | LiveSession
  /** There is no live session, and the id can be taken. */
  | { readonly status: "free"; readonly slot: SessionSlot; readonly users: UserSlots }
  /** There is no live session yet, but an operation under way has taken the id. */
  | { readonly status: "pending" }
  /** The session has moved to another id, and the rename that did it has not ended. */
  | { readonly status: "moved"; readonly slot: SessionSlot; readonly session: StoredSession };

interface FinderParts {
  readonly items: Items;
  readonly records: Records;
  readonly memberships: Memberships;
  readonly survey: Survey;
  readonly clock: ServerClock;
}

/** Finds sessions: reads a record and the item of its user, and tells whether the session is alive. */
export class Finder {
  readonly #parts: FinderParts;
  /** A wrong entry costs a wait, and never causes a wrong answer: the record decides. */
  readonly #userOf = new LRUCache<string, string>({ max: rememberedSessions });

  constructor(parts: FinderParts) {
    this.#parts = parts;
  }

  /** One wait where the user is known beforehand or there is none, else two. */
  find(id: string, alsoUser: string | undefined, exchange: Exchange): Promise<Found> {
    return untilWon(exchange, () => this.#find(id, alsoUser, exchange));
  }

  /** Saves the next find a wait. */
  remember(id: string, userId: string): void {
    this.#userOf.set(id, userId);
  }

  forget(id: string): void {
    this.#userOf.delete(id);
  }

  async #find(id: string, alsoUser: string | undefined, exchange: Exchange): Promise<Found | undefined> {
    const { items, records } = this.#parts;
    const users = new Map<string, UserSlot | undefined>();
    // A read on a guess must not fail the call. If it proves necessary it is repeated.
    const read = async (userId: string): Promise<void> => {
      users.set(userId, await items.user(userId, exchange).catch(() => undefined));
    };
    const known = this.#userOf.get(id);
    const [record] = await Promise.all([
      records.find(id, exchange),
      known !== undefined && read(known),
      alsoUser !== undefined && alsoUser !== known && read(alsoUser),
    ]);
    return this.#judge(id, record, users, exchange);
  }

  /** Returns `undefined` where a claim of a dead process was in the way: look again. */
  async #judge(
    id: string,
    record: FoundRecord,
    users: Map<string, UserSlot | undefined>,
    exchange: Exchange,
  ): Promise<Found | undefined> {
    const { slot } = record;
    switch (record.status) {
      case "missing":
        return { status: "free", slot, users };
      case "moved":
        return record;
      case "arriving":
        return this.#isPending(record.session) ? { status: "pending" } : { status: "free", slot, users };
      case "present":
        return record.session.userId === undefined
          ? { ...record, status: "live", users }
          : this.#judgeOwned(id, record, record.session.userId, users, exchange);
    }
  }

  async #judgeOwned(
    id: string,
    record: PresentRecord,
    userId: string,
    users: Map<string, UserSlot | undefined>,
    exchange: Exchange,
  ): Promise<Found | undefined> {
    const { items, records } = this.#parts;
    const { nonce } = record.session;
    this.#userOf.set(id, userId);
    const memberIn = (userSlot: UserSlot | undefined): Member | undefined =>
      userSlot?.value?.find((member) => isSame(member, { id, nonce }));
    let member = memberIn(users.get(userId));
    if (member === undefined) {
      // The item that was read together with the record may be older than the record.
      users.set(userId, await items.user(userId, exchange));
      member = memberIn(users.get(userId));
    }
    if (member === undefined) {
      // Dead, unless it moved in between.
      const again = await records.find(id, exchange);
      const hasChanged = again.status !== "present" || again.session.nonce !== nonce;
      if (hasChanged) return this.#judge(id, again, new Map(), exchange);
      return this.#isPending(again.session) ? { status: "pending" } : { status: "free", slot: again.slot, users };
    }
    if (member.orderedBy === undefined) return { ...record, status: "live", users };
    return this.#judgeOrdered(record, userId, member, users, exchange);
  }

  /** An ordered session lives until the arrival that has ordered it is alive. */
  async #judgeOrdered(
    record: PresentRecord,
    userId: string,
    member: Member,
    users: UserSlots,
    exchange: Exchange,
  ): Promise<Found | undefined> {
    const { memberships, survey } = this.#parts;
    const members = users.get(userId)?.value ?? [];
    const arrivals = members.filter(({ nonce }) => nonce === member.orderedBy);
    const [ordered, arrival] = await survey.all(userId, [member, ...arrivals], exchange);
    if (ordered?.status !== "live") return { status: "free", slot: record.slot, users };
    if (arrival?.status !== "pending" || !arrival.isStale) return { ...record, status: "live", users };
    await memberships.heal(userId, exchange);
    return undefined;
  }

  #isPending({ pendingUntil }: StoredSession): boolean {
    return this.#parts.clock.now() < pendingUntil;
  }
}
