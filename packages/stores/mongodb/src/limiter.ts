import {
  type CreateResult,
  type EndedSession,
  type NewSession,
  type RenameResult,
  SessionError,
  type SessionLimit,
} from "@sojourn/core/adapter";
import type { Filter, WithId } from "mongodb";
import { type Connection, inOneAnswer } from "./connection.js";
import { byAge, hasEnded, isNotExpired, type SessionDocument } from "./document.js";
import { UserQueue } from "./user-queue.js";
import { type ChangeRequest, changeSession, insertSession, readTarget } from "./writes.js";

/** What an attempt to gain a session came to: an answer, or `undefined` to look at everything anew. */
interface Attempt<T> {
  /** Set when it is clear without regard to the limit. */
  readonly answer?: T;
  /** Stores the session, once there is room for it. */
  gain(): Promise<T | undefined>;
}

type Outcome = { readonly status: string; readonly evicted?: readonly string[] };

/**
 * The session limit: whoever gains a session for a user draws a ticket, counts, stores, and gives the ticket back.
 *
 * Four round trips, and more only where others gain a session for the same user and there may not be room for all.
 */
export class Limiter {
  readonly #connection: Connection;
  readonly #removeEach: (filters: readonly Filter<SessionDocument>[]) => Promise<EndedSession[]>;

  /** @param removeEach - ends those of the sessions that still match, and answers which */
  constructor(
    connection: Connection,
    removeEach: (filters: readonly Filter<SessionDocument>[]) => Promise<EndedSession[]>,
  ) {
    this.#connection = connection;
    this.#removeEach = removeEach;
  }

  create(session: NewSession, userId: string, limit: SessionLimit): Promise<CreateResult> {
    return this.#gain<CreateResult>("create", userId, limit, async () => {
      const { sessions } = this.#connection;
      const occupant = await this.#connection.read("create", () => sessions.findOne({ sid: session.id }));
      const isTaken = occupant !== null && !hasEnded(occupant, await this.#connection.now());
      return {
        ...(isTaken ? { answer: { status: "duplicate" } } : {}),
        gain: () => insertSession(this.#connection, session),
      };
    });
  }

  change(request: ChangeRequest, userId: string, limit: SessionLimit): Promise<RenameResult> {
    return this.#gain<RenameResult>(request.operation, userId, limit, async () => {
      const { record, refusal } = await readTarget(this.#connection, request);
      if (refusal !== undefined) return { answer: refusal, gain: async () => refusal };
      // Who has the session already gains nothing by it.
      if (record.userId === userId) {
        const kept = await changeSession(this.#connection, request, { userId });
        return { ...(kept === undefined ? {} : { answer: kept }), gain: async () => undefined };
      }
      return { gain: () => changeSession(this.#connection, request, { userId: { $ne: userId } }) };
    });
  }

  async #gain<T extends Outcome>(
    operation: string,
    userId: string,
    limit: SessionLimit,
    attempt: () => Promise<Attempt<T>>,
  ): Promise<T | { status: "limitReached" }> {
    const queue = new UserQueue(this.#connection, userId);
    // Longer than a dead process's ticket counts, so that one of those never makes anybody fail.
    const giveUpAt = performance.now() + 2 * queue.graceMs;
    let place = await queue.enter(operation);
    let surplus: readonly WithId<SessionDocument>[] = [];
    let mayArriveYet = false;
    try {
      while (performance.now() < giveUpAt) {
        if (performance.now() > place.heldUntil) {
          await queue.leave(operation);
          place = await queue.enter(operation);
        }
        // In this order: whoever left the queue before we drew has stored what we count now.
        const [theirs, { answer, gain }] = await Promise.all([this.#sessionsOf(operation, userId), attempt()]);
        if (answer !== undefined) return answer;
        const room = limit.max - theirs.length;
        if (room <= 0 && limit.whenReached === "reject") return { status: "limitReached" };
        const isClear = room > place.ahead || (place.ahead === 0 && limit.whenReached === "evictOldest");
        if (isClear && performance.now() < place.heldUntil) {
          const gained = await gain();
          if (gained === undefined || !(gained.status === "created" || gained.status === "renamed")) {
            if (gained !== undefined) return gained;
            continue;
          }
          surplus = theirs.slice(0, Math.max(0, 1 - room));
          const [evicted] = await Promise.all([this.#evict(surplus, userId), queue.leave(operation)]);
          return { ...gained, evicted };
        }
        const ahead = await queue.look(operation, place);
        place = ahead === undefined ? await queue.enter(operation) : { ...place, ahead };
      }
    } catch (error) {
      mayArriveYet = error instanceof SessionError && error.outcomeUnknown;
      throw error;
    } finally {
      if (mayArriveYet) queue.abandon();
      else await queue.leave(operation);
    }
    throw new SessionError("UNAVAILABLE", `@sojourn/mongodb: ${operation}: too many gain a session for this user`);
  }

  /** The user's sessions that have not ended, the oldest first. */
  async #sessionsOf(operation: string, userId: string): Promise<WithId<SessionDocument>[]> {
    const moment = await this.#connection.now();
    const { sessions } = this.#connection;
    const found = await this.#connection.read(operation, () =>
      sessions
        .find({ userId, ...isNotExpired(moment) }, { projection: { sid: 1, createdAt: 1 }, ...inOneAnswer })
        .toArray(),
    );
    return found.sort(byAge);
  }

  async #evict(surplus: readonly WithId<SessionDocument>[], userId: string): Promise<string[]> {
    const moment = await this.#connection.now();
    const ended = await this.#removeEach(surplus.map(({ _id }) => ({ _id, userId, ...isNotExpired(moment) })));
    return ended.map(({ id }) => id);
  }
}
