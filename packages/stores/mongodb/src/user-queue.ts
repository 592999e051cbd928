import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Moment } from "./clock.js";
import type { Connection } from "./connection.js";
import { isDuplicateKey } from "./errors.js";

/** A place in the queue of those who are gaining a session for one user. */
export interface Place {
  /** Others who came first and have not left: each may be about to gain a session that nobody sees yet. */
  readonly ahead: number;
  /** Until then, by `performance.now()`, nobody else takes the place for abandoned. */
  readonly heldUntil: number;
}

/**
 * The queue in which everybody stands who gains a session for a user under a limit: one guard document per user, with a
 * ticket for each.
 *
 * Drawing a ticket is atomic, so of two each knows who was first. Whoever counts the user's sessions after drawing counts
 * each earlier ticket as one more, and waits only where that makes the difference. A process that dies keeps its ticket
 * for {@link graceMs}; then the others drop it.
 */
export class UserQueue {
  readonly #connection: Connection;
  readonly #userId: string;
  /** Empty while we stand in no queue. */
  #ticket = "";
  /** Tickets of those who must have died. */
  #abandoned: readonly string[] = [];

  constructor(connection: Connection, userId: string) {
    this.#connection = connection;
    this.#userId = userId;
  }

  /** A ticket has to be used within one timeout, and what it was drawn for ends within another. */
  get graceMs(): number {
    return 3 * this.#connection.timeoutMs;
  }

  /** Draws a ticket. One round trip. */
  async enter(operation: string): Promise<Place> {
    const moment = await this.#connection.now();
    const ticket = `${moment.latest} ${randomBytes(9).toString("base64url")}`;
    this.#ticket = ticket;
    const heldUntil = performance.now() + this.#connection.timeoutMs;
    const draw = () =>
      this.#connection.write(operation, (options) =>
        this.#connection.guards.findOneAndUpdate(
          { _id: this.#userId },
          { $push: { tickets: ticket }, $set: { touchedAt: new Date(moment.latest) } },
          { upsert: true, returnDocument: "after", ...options },
        ),
      );
    // Two that insert the guard at once: one is told that the other was faster.
    const guard = await draw().catch((error: unknown) => {
      if (isDuplicateKey(error)) return draw();
      throw error;
    });
    return { ahead: this.#ahead(guard?.tickets ?? [], moment).length, heldUntil };
  }

  /**
   * Waits a moment and looks again.
   *
   * @returns how many are still ahead, or `undefined` when the ticket has been dropped
   */
  async look(operation: string, { ahead }: Pick<Place, "ahead">): Promise<number | undefined> {
    // Those behind ask less often, and not all together.
    await delay(Math.min(100, 1 + ahead * (1 + Math.random())));
    const moment = await this.#connection.now();
    const guard = await this.#connection.read(operation, () => this.#connection.guards.findOne({ _id: this.#userId }));
    const tickets = guard?.tickets ?? [];
    return tickets.includes(this.#ticket) ? this.#ahead(tickets, moment).length : undefined;
  }

  /**
   * Gives the ticket back, and removes the guard when it was the last. One round trip, two or three when others wait.
   *
   * Never rejects: a ticket that cannot be given back is dropped after {@link graceMs}.
   */
  async leave(operation: string): Promise<void> {
    const ticket = this.#ticket;
    if (ticket === "") return;
    this.#ticket = "";
    const { guards } = this.#connection;
    try {
      const alone = await this.#connection.write(operation, (options) =>
        guards.deleteOne({ _id: this.#userId, tickets: [ticket] }, options),
      );
      if (alone.deletedCount > 0) return;
      const left = await this.#connection.write(operation, (options) =>
        guards.findOneAndUpdate(
          { _id: this.#userId },
          { $pullAll: { tickets: [ticket, ...this.#abandoned] } },
          { returnDocument: "after", ...options },
        ),
      );
      if (left?.tickets.length !== 0) return;
      await this.#connection.write(operation, (options) =>
        guards.deleteOne({ _id: this.#userId, tickets: [] }, options),
      );
    } catch {}
  }

  /** Leaves the ticket where it is: what it was drawn for may still arrive. */
  abandon(): void {
    this.#ticket = "";
  }

  /** The tickets drawn before ours whose owners may still use them. */
  #ahead(tickets: readonly string[], { earliest }: Moment): string[] {
    const isAbandoned = (ticket: string): boolean => drawnAt(ticket) <= earliest - this.graceMs;
    this.#abandoned = tickets.filter(isAbandoned);
    const own = tickets.indexOf(this.#ticket);
    return tickets.slice(0, own).filter((ticket) => !isAbandoned(ticket));
  }
}

function drawnAt(ticket: string): number {
  return Number.parseInt(ticket, 10);
}
