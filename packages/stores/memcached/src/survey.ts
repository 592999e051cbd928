import { isSessionError, type SessionError } from "@sojourn/core/adapter";
import { untilWon } from "./contention.js";
import type { Exchange } from "./exchange.js";
import type { Items, SessionSlot } from "./items.js";
import type { Member, StoredSession } from "./record.js";
import { arrived, type FoundRecord, hasMovedTo, type Records } from "./records.js";
import type { ServerClock } from "./server-clock.js";

/** The state of a member, by its record. */
export type Surveyed =
  | { readonly status: "live"; readonly member: Member; readonly session: StoredSession }
  /** Its record may be about to arrive. `isStale`: but not by the operation that said so, whose time is up. */
  | { readonly status: "pending"; readonly member: Member; readonly isStale: boolean }
  | { readonly status: "ended"; readonly member: Member }
  | { readonly status: "corrupt"; readonly member: Member; readonly error: SessionError };

type ReadRecord = FoundRecord | { readonly status: "corrupt"; readonly error: SessionError };

/** Compares the members of users with their records, and ends records. */
export class Survey {
  readonly #items: Items;
  readonly #records: Records;
  readonly #clock: ServerClock;

  constructor(items: Items, records: Records, clock: ServerClock) {
    this.#items = items;
    this.#records = records;
    this.#clock = clock;
  }

  /**
   * Surveys members of a user: one wait for any number of them, two while one is being renamed.
   *
   * @param members - with the members that have ordered any of them
   */
  async all(userId: string, members: readonly Member[], exchange: Exchange): Promise<Surveyed[]> {
    const read = await Promise.all(members.map(({ id }) => this.#read(id, exchange)));
    const decided = await Promise.all(read.map((record) => this.#decided(record, read, exchange)));
    const surveyed = members.map((member, index) => this.#judge(userId, member, decided[index]));
    const byNonce = new Map(surveyed.map((survey) => [survey.member.nonce, survey]));
    return surveyed.map((survey): Surveyed => {
      const { member } = survey;
      if (survey.status !== "live" || member.orderedBy === undefined) return survey;
      const arrival = byNonce.get(member.orderedBy);
      return hasArrived(arrival) ? { status: "ended", member } : survey;
    });
  }

  /**
   * Removes the records of members that have been taken out of their user's item.
   *
   * @returns the ids of those that were alive
   */
  async end(userId: string, members: readonly Member[], exchange: Exchange): Promise<string[]> {
    const ended = await Promise.all(members.map((member) => this.#endOne(userId, member, exchange)));
    return members.filter((_, index) => ended[index]).map(({ id }) => id);
  }

  /**
   * Makes sure that no record of a member moves before the user's item has changed. It writes the record that decides, as it
   * is: a move that was begun before finds another token and begins again, and then has to write the user's item first.
   */
  async settle(members: readonly Member[], exchange: Exchange): Promise<void> {
    const moving = members.filter(({ movingUntil }) => movingUntil !== undefined);
    await Promise.all(moving.map(({ id }) => untilWon(exchange, () => this.#settleOne(id, exchange))));
  }

  async #settleOne(id: string, exchange: Exchange): Promise<"settled" | undefined> {
    const slot = await this.#decidingSlot(id, exchange);
    if (slot?.value === undefined || slot.value.movedTo !== undefined) return "settled";
    return (await this.#items.saveSession(slot, slot.value, exchange)) && "settled";
  }

  /** Returns the record that a move of the session has to write. */
  async #decidingSlot(id: string, exchange: Exchange): Promise<SessionSlot | undefined> {
    const record = await this.#read(id, exchange);
    switch (record.status) {
      case "arriving":
        return this.#items.sessionAt(record.session.former, exchange).catch(ignoreCorrupt);
      case "present":
        return record.slot;
      case "missing":
      case "moved":
      case "corrupt":
        return undefined;
    }
  }

  #endOne(userId: string, member: Member, exchange: Exchange): Promise<boolean> {
    return untilWon(exchange, async () => {
      const record = await this.#decided(await this.#read(member.id, exchange), [], exchange);
      if (record.status !== "present" || this.#judge(userId, member, record).status !== "live") return false;
      return (await this.#items.remove(record.slot, exchange)) || undefined;
    });
  }

  #judge(userId: string, member: Member, record: ReadRecord | undefined): Surveyed {
    if (record?.status === "corrupt") return { ...record, member };
    if (record?.status === "present") {
      const { session } = record;
      if (session.userId === userId && session.nonce === member.nonce) return { status: "live", member, session };
    }
    const { movingUntil } = member;
    if (movingUntil === undefined) return { status: "ended", member };
    const isStale = this.#clock.now() >= movingUntil;
    // Whether it had arrived cannot be known any more: it counts as if, so that no session comes back.
    return isStale && record?.status === "missing"
      ? { status: "ended", member }
      : { status: "pending", member, isStale };
  }

  async #read(id: string, exchange: Exchange): Promise<ReadRecord> {
    try {
      return await this.#records.read(id, exchange);
    } catch (error) {
      return corrupt(error);
    }
  }

  /** Judges an arriving record by the former one as it was read together with it: a session is not counted under two ids. */
  async #decided(record: ReadRecord, readTogether: readonly ReadRecord[], exchange: Exchange): Promise<ReadRecord> {
    if (record.status !== "arriving") return record;
    const { former } = record.session;
    for (const other of readTogether) {
      if (other.status === "corrupt" || other.slot.key !== former) continue;
      if (hasMovedTo(other.slot, record)) return arrived(record);
      if (other.status === "present") return record;
    }
    try {
      return await this.#records.decided(record, exchange);
    } catch (error) {
      return corrupt(error);
    }
  }
}

/** Whether an arriving member has come alive, or may have. An arrival that gives up takes its orders back. */
function hasArrived(arrival: Surveyed | undefined): boolean {
  switch (arrival?.status) {
    case undefined:
    case "live":
    case "ended":
      return true;
    case "pending":
    case "corrupt":
      return false;
  }
}

function corrupt(error: unknown): ReadRecord {
  if (!isSessionError(error, "CORRUPT")) throw error;
  return { status: "corrupt", error };
}

function ignoreCorrupt(error: unknown): undefined {
  if (!isSessionError(error, "CORRUPT")) throw error;
}
