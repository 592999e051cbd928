import type { CreateResult, NewSession, SessionLimit } from "@sojourn/core/adapter";
import type { Exchange } from "./exchange.js";
import type { Finder } from "./finder.js";
import type { Items } from "./items.js";
import type { Memberships } from "./memberships.js";
import type { Moves } from "./moves.js";
import type { ServerClock } from "./server-clock.js";
import { memberOf, newSession, pendingUntil, toRecord } from "./session.js";
import type { Survey } from "./survey.js";

interface CreationParts {
  readonly items: Items;
  readonly memberships: Memberships;
  readonly survey: Survey;
  readonly finder: Finder;
  readonly moves: Moves;
  readonly clock: ServerClock;
}

/** Creates sessions: first the record, then its place in the user's item, which decides whether the session lives. */
export class Creation {
  readonly #parts: CreationParts;

  constructor(parts: CreationParts) {
    this.#parts = parts;
  }

  /** @returns `undefined`: begin again */
  async create(
    session: NewSession,
    limit: SessionLimit | undefined,
    exchange: Exchange,
  ): Promise<CreateResult | undefined> {
    const { items, memberships, survey, finder, moves, clock } = this.#parts;
    const { id, userId } = session;
    const found = await finder.find(id, userId, exchange);
    switch (found.status) {
      case "live":
        return { status: "duplicate" };
      case "pending":
        return undefined;
      case "moved":
        await moves.heal(found.slot, exchange);
        return undefined;
      case "free":
        break;
    }
    const created = newSession(session, clock.now(), pendingUntil(clock.now(), exchange));
    const storing = items.saveSession(found.slot, created, exchange, 0);
    if (userId === undefined) {
      return (await storing) && { status: "created", record: toRecord(id, created, clock.now()), evicted: [] };
    }
    // The record comes first, so that a member without one is known to have ended. One server keeps the order of requests.
    const userSlot = found.users.get(userId);
    if (userSlot?.server !== found.slot.server) await storing;
    const member = memberOf(id, created);
    const isStored = async (): Promise<boolean> => (await storing) !== undefined;
    const [stored, joined] = await Promise.all([
      storing,
      memberships.join(userId, member, { limit, isStored }, exchange, userSlot),
    ]);
    if (stored === undefined) {
      // Another session got the id in between.
      if (joined.status === "joined") await memberships.leave(userId, member, exchange);
      return undefined;
    }
    if (joined.status !== "joined") {
      await items.remove(stored, exchange);
      return { status: "limitReached" };
    }
    exchange.hasDecided = true;
    finder.remember(id, userId);
    const evicted = await survey.end(userId, joined.ordered, exchange);
    return { status: "created", record: toRecord(id, created, clock.now()), evicted };
  }
}
