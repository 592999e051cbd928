import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Moment } from "./clock.js";
import { isDuplicateKey } from "./errors.js";
import type { Trips } from "./trips.js";

/** A place in the queue of the callers who are gaining a session for one user. */
export interface Place {
  /** Callers who came first and have not left: each may be about to gain a session that is not stored yet. */
  readonly ahead: number;
}

/**
 * The queue of the callers who gain a session for a user under a limit: one guard document for each user, with a ticket for
 * each caller.
 *
 * Drawing a ticket is atomic, so of two callers each knows who was first. A caller that counts the user's sessions after
 * drawing counts each earlier ticket as one more, and waits only where that makes a difference. A ticket counts until the
 * deadline of its operation and one timeout more, for a write that is on its way. Then others drop it.
 */
export class UserQueue {
  readonly #trips: Trips;
  readonly #userId: string;
  /** Empty while no ticket is held. */
  #ticket = "";
  /** Tickets of callers who must have died. */
  #abandoned: readonly string[] = [];

  constructor(trips: Trips, userId: string) {
    this.#trips = trips;
    this.#userId = userId;
  }

  /** Draws a ticket. One round trip. */
  async enter(): Promise<Place> {
    const { connection, remainingMs } = this.#trips;
    const moment = await this.#trips.now();
    const graceMs = Math.ceil(Math.max(0, remainingMs)) + connection.timeoutMs;
    const ticket = `${moment.latest} ${randomBytes(9).toString("base64url")} ${graceMs}`;
    this.#ticket = ticket;
    const draw = () =>
      this.#trips.write((options, watched) =>
        connection.guards.findOneAndUpdate(
          watched({ _id: this.#userId }),
          { $push: { tickets: ticket }, $set: { touchedAt: new Date(moment.latest) } },
          { upsert: true, returnDocument: "after", ...options },
        ),
      );
    // Of two that insert the guard at once, one is told that the other was faster.
    const guard = await draw().catch((error: unknown) => {
      if (isDuplicateKey(error)) return draw();
      throw error;
    });
    return { ahead: this.#ahead(guard?.tickets ?? [], moment).length };
  }

  /**
   * Waits a moment and looks again.
   *
   * @returns how many are still ahead, or `undefined` when the ticket has been dropped
   */
  async look({ ahead }: Place): Promise<number | undefined> {
    const { guards } = this.#trips.connection;
    // Those behind ask less often, and not all together.
    await delay(Math.min(100, 1 + ahead * (1 + Math.random())));
    const moment = await this.#trips.now();
    const guard = await this.#trips.read((options, watched) => guards.findOne(watched({ _id: this.#userId }), options));
    const tickets = guard?.tickets ?? [];
    return tickets.includes(this.#ticket) ? this.#ahead(tickets, moment).length : undefined;
  }

  /**
   * Gives the ticket back, and removes the guard when it was the last. One round trip, two or three when others wait.
   *
   * Never rejects: a ticket that cannot be given back is dropped by others.
   */
  async leave(): Promise<void> {
    const ticket = this.#ticket;
    if (ticket === "") return;
    this.#ticket = "";
    const { guards } = this.#trips.connection;
    const removeWith = async (tickets: readonly string[]): Promise<boolean> => {
      const filter = { _id: this.#userId, tickets: [...tickets] };
      const { deletedCount } = await this.#trips.write((options, watched) =>
        guards.deleteOne(watched({ ...filter }), options),
      );
      return deletedCount > 0;
    };
    try {
      if (await removeWith([ticket])) return;
      const left = await this.#trips.write((options, watched) =>
        guards.findOneAndUpdate(
          watched({ _id: this.#userId }),
          { $pullAll: { tickets: [ticket, ...this.#abandoned] } },
          { returnDocument: "after", ...options },
        ),
      );
      if (left?.tickets.length === 0) await removeWith([]);
    } catch {}
  }

  /** Leaves the ticket where it is: the write that it was drawn for may still arrive. */
  abandon(): void {
    this.#ticket = "";
  }

  /** Returns the tickets drawn before this one whose callers may still use them. */
  #ahead(tickets: readonly string[], { earliest }: Moment): string[] {
    const isAbandoned = (ticket: string): boolean => this.#endOf(ticket) <= earliest;
    this.#abandoned = tickets.filter(isAbandoned);
    const own = tickets.indexOf(this.#ticket);
    return tickets.slice(0, own).filter((ticket) => !isAbandoned(ticket));
  }

  #endOf(ticket: string): number {
    const [drawnAt, , graceMs] = ticket.split(" ");
    // Tickets of the release before do not say how long they count.
    return Number(drawnAt) + (Number(graceMs) || 3 * this.#trips.connection.timeoutMs);
  }
}
