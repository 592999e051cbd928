import type { SessionLimit } from "@sojourn/core/adapter";
import type { Exchange } from "./exchange.js";
import type { LiveSession } from "./finder.js";
import type { Items, SessionSlot, UserSlot } from "./items.js";
import type { Place } from "./members.js";
import type { ClaimResult, Memberships } from "./memberships.js";
import type { Member, StoredSession } from "./record.js";
import type { Records } from "./records.js";
import { memberOf } from "./session.js";
import type { Survey } from "./survey.js";

export type MoveResult =
  | { readonly status: "moved"; readonly evicted: readonly string[] }
  | { readonly status: "limitReached" }
  /** Another writer was faster. Nothing has changed. */
  | { readonly status: "overtaken" };

/** A session on its way from one place to another. */
export interface Move {
  readonly from: { readonly id: string; readonly found: LiveSession };
  /** `session`: with the nonce of its new place. */
  readonly to: { readonly id: string; readonly session: StoredSession };
  readonly limit: SessionLimit | undefined;
  /** Until then the operation may be under way. */
  readonly until: number;
}

/** The places of a move as they were claimed, with the user's items as written. */
type Claims =
  | {
      readonly status: "claimed";
      readonly left: UserSlot | undefined;
      readonly gained: UserSlot | undefined;
      readonly ordered: readonly Member[];
    }
  | { readonly status: "limitReached" }
  | { readonly status: "overtaken" };

interface MoveParts {
  readonly items: Items;
  readonly records: Records;
  readonly memberships: Memberships;
  readonly survey: Survey;
}

/**
 * Moves sessions to another user, to another id, or both, in three steps.
 *
 * 1. Claim: the new place is put into the new user's item, where it may order others to go, and the old place is marked in
 *    the old user's item. A rename also stores the record under the new id, as arriving. Nothing is alive or dead by that.
 * 2. Decide: one compare-and-swap of the session's record, which then names the new user, or the new id.
 * 3. Settle: the new place is made permanent, and the traces of the old one and of those ordered are removed. The decision
 *    holds without this step too.
 *
 * Where the decision fails, the claims are taken back. `docs/adr/0017-memcached-moves-decide-in-the-record.md` has a diagram.
 */
export class Moves {
  readonly #parts: MoveParts;

  constructor(parts: MoveParts) {
    this.#parts = parts;
  }

  /** Gives a session to another user. */
  async changeUser(move: Move, exchange: Exchange): Promise<MoveResult> {
    const claims = await this.#claim(move, exchange);
    if (claims.status !== "claimed") return claims;
    const saved = await this.#parts.items.saveSession(move.from.found.slot, move.to.session, exchange);
    if (saved === undefined) {
      await this.#cancel(move, claims.gained, exchange);
      return { status: "overtaken" };
    }
    exchange.hasDecided = true;
    return { status: "moved", evicted: await this.#settle(move, claims, exchange) };
  }

  /**
   * Gives a session another id.
   *
   * @param target - the free slot of that id
   */
  async rename(move: Move, target: SessionSlot, exchange: Exchange): Promise<MoveResult> {
    const { items } = this.#parts;
    const { slot, session, users } = move.from.found;
    const { userId } = move.to.session;
    const arriving = { ...move.to.session, former: slot.key, pendingUntil: move.until };
    const storing = items.saveSession(target, arriving, exchange);
    // The record comes first, so that a place without one is known to be left over. One server keeps the order of requests.
    if (userId !== undefined && users.get(userId)?.server !== target.server) await storing;
    const [stored, claims] = await Promise.all([storing, this.#claim(move, exchange)]);
    if (stored === undefined || claims.status !== "claimed") {
      const gained = claims.status === "claimed" ? claims.gained : undefined;
      await Promise.all([
        stored && items.remove(stored, exchange),
        claims.status === "claimed" && this.#cancel(move, gained, exchange),
      ]);
      return claims.status === "limitReached" ? claims : { status: "overtaken" };
    }
    const { nonce, expiresAt } = arriving;
    const moved = { ...session, nonce, expiresAt, movedTo: target.key, pendingUntil: move.until, payload: "" };
    const decided = await items.saveSession(slot, moved, exchange);
    if (decided === undefined) {
      await Promise.all([items.remove(stored, exchange), this.#cancel(move, claims.gained, exchange)]);
      return { status: "overtaken" };
    }
    exchange.hasDecided = true;
    const [evicted] = await Promise.all([
      this.#settle(move, claims, exchange),
      this.#forget(decided, stored, exchange),
    ]);
    return { status: "moved", evicted };
  }

  /** Ends a rename that has decided and was left over by a process that died. The old id is free afterwards. */
  async heal(moved: SessionSlot, exchange: Exchange): Promise<void> {
    const target = moved.value?.movedTo;
    if (target === undefined) return;
    const record = await this.#parts.records.findAt(target, exchange);
    const isArrived = record.status === "present" && record.session.nonce === moved.value?.nonce;
    if (isArrived && record.slot.value?.former !== undefined) await this.#forget(moved, record.slot, exchange);
    else await this.#parts.items.remove(moved, exchange);
  }

  /** Makes an arrived record independent of the former one, and removes that. */
  async #forget(moved: SessionSlot, arrived: SessionSlot, exchange: Exchange): Promise<void> {
    const { items } = this.#parts;
    if (arrived.value === undefined) return;
    // If another writer was faster, that write has left out the former record too.
    const saving = items.saveSession(arrived, { ...arrived.value, former: undefined }, exchange);
    if (arrived.server !== moved.server) await saving;
    await Promise.all([saving, items.remove(moved, exchange)]);
  }

  async #claim(move: Move, exchange: Exchange): Promise<Claims> {
    const { memberships } = this.#parts;
    const { session, users } = move.from.found;
    const [left, gained] = [session.userId, move.to.session.userId];
    const arrival = { ...memberOf(move.to.id, move.to.session), movingUntil: move.until };
    const place = oldPlaceOf(move);
    const departing = { place, until: move.until, arrival: left === gained ? arrival : undefined };
    const [departed, claimed] = await Promise.all([
      left === undefined ? nothing : memberships.depart(left, departing, exchange, users.get(left)),
      gained === undefined || gained === left
        ? nothing
        : memberships.claim(gained, arrival, move.limit, exchange, users.get(gained)),
    ]);
    if (departed.status === "claimed" && claimed.status === "claimed") {
      const { ordered } = claimed;
      return {
        status: "claimed",
        left: departed.slot,
        gained: left === gained ? departed.slot : claimed.slot,
        ordered,
      };
    }
    if (departed.status === "ordered" && left !== undefined) await memberships.heal(left, exchange);
    if (claimed.status === "claimed") await this.#cancel(move, claimed.slot, exchange);
    return { status: claimed.status === "limitReached" ? "limitReached" : "overtaken" };
  }

  async #cancel(move: Move, gained: UserSlot | undefined, exchange: Exchange): Promise<void> {
    const { userId } = move.to.session;
    if (userId !== undefined) await this.#parts.memberships.cancel(userId, newPlaceOf(move), exchange, gained);
  }

  /** @returns the ids of the ordered sessions that were alive until now */
  async #settle(
    move: Move,
    { left, gained, ordered }: Extract<Claims, { status: "claimed" }>,
    exchange: Exchange,
  ): Promise<readonly string[]> {
    const { memberships, survey } = this.#parts;
    const [former, userId] = [move.from.found.session.userId, move.to.session.userId];
    const place = oldPlaceOf(move);
    const [, , evicted] = await Promise.all([
      former !== undefined && former !== userId && memberships.leave(former, place, exchange, left),
      userId !== undefined &&
        memberships.arrive(userId, newPlaceOf(move), former === userId ? place : undefined, exchange, gained),
      userId === undefined ? [] : survey.end(userId, ordered, exchange),
    ]);
    return evicted;
  }
}

type Nothing = Extract<ClaimResult, { status: "claimed" }> | { status: "claimed"; slot: undefined; ordered: [] };
/** The claim of a session without a user. */
const nothing: Nothing = { status: "claimed", slot: undefined, ordered: [] };

function oldPlaceOf({ from }: Move): Place {
  return { id: from.id, nonce: from.found.session.nonce };
}

function newPlaceOf({ to }: Move): Place {
  return { id: to.id, nonce: to.session.nonce };
}
