import { LRUCache } from "lru-cache";
import type { Items, SessionSlot, UserSlot } from "./items.js";
import { isSame, type Memberships } from "./memberships.js";
import type { Member, StoredSession } from "./record.js";
import type { ServerClock } from "./server-clock.js";

/** For so many sessions a process remembers the user, and so reads record and user's item in one wait. */
const rememberedSessions = 10_000;

/** A session as it was found, with the items that it takes to change it. */
export interface Found {
  readonly slot: SessionSlot;
  /** The items read of its user and of the user that it is to have. */
  readonly users: ReadonlyMap<string, UserSlot | undefined>;
  /** `undefined` when it is missing, over, or not in its user's item. */
  readonly session: StoredSession | undefined;
  /** Its place in its user's item; `undefined` for one without a user. */
  readonly member: Member | undefined;
  /** There is none yet, but another writer is making one. */
  readonly isPending: boolean;
}

/** Finds sessions: reads a record and the item of its user, and tells whether the session is alive. */
export class Finder {
  readonly #items: Items;
  readonly #memberships: Memberships;
  readonly #clock: ServerClock;
  readonly #readSeconds: () => Promise<number>;
  /** Wrong entries cost a wait, never a wrong answer: what decides is the record. */
  readonly #userOf = new LRUCache<string, string>({ max: rememberedSessions });

  constructor(items: Items, memberships: Memberships, clock: ServerClock, readSeconds: () => Promise<number>) {
    this.#items = items;
    this.#memberships = memberships;
    this.#clock = clock;
    this.#readSeconds = readSeconds;
  }

  /** One wait where the user is known beforehand or there is none, else two. */
  async find(id: string, alsoUser?: string): Promise<Found> {
    const wanted = new Set([this.#userOf.get(id), alsoUser].filter((userId) => userId !== undefined));
    const readings = [...wanted].map(async (userId): Promise<[string, UserSlot | undefined]> => {
      // What is read on a guess must not fail the call. What proves necessary is read again.
      return [userId, await this.#items.user(userId).catch(() => undefined)];
    });
    const [slot, users] = await Promise.all([
      this.#items.session(id),
      Promise.all(readings),
      this.#clock.ready(this.#readSeconds),
    ]);
    return this.#judge(id, slot, new Map(users));
  }

  async #judge(id: string, slot: SessionSlot, users: Map<string, UserSlot | undefined>): Promise<Found> {
    const session = slot.value;
    const missing = { slot, users, session: undefined, member: undefined, isPending: false };
    if (session === undefined || this.#memberships.isOver(session)) return missing;
    const { userId, nonce } = session;
    if (userId === undefined) return { ...missing, session };
    this.#userOf.set(id, userId);
    const memberIn = (userSlot: UserSlot | undefined): Member | undefined =>
      userSlot?.value?.find((member) => isSame(member, { id, nonce }));
    const guessed = memberIn(users.get(userId));
    if (guessed !== undefined) return { ...missing, session, member: guessed };

    // What was read together with the record may be older than the record.
    const userSlot = await this.#items.user(userId);
    users.set(userId, userSlot);
    const member = memberIn(userSlot);
    if (member !== undefined) return { ...missing, session, member };

    // Dead, unless it moved to another user in between.
    const again = await this.#items.session(id);
    if (again.value !== undefined && again.value.nonce !== nonce) return this.#judge(id, again, new Map());
    return {
      ...missing,
      slot: again,
      isPending: again.value !== undefined && this.#clock.now() < session.pendingUntil,
    };
  }

  /** Saves the next find a wait. */
  remember(id: string, userId: string): void {
    this.#userOf.set(id, userId);
  }

  forget(id: string): void {
    this.#userOf.delete(id);
  }
}
