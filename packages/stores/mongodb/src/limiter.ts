import {
  type CreateResult,
  isSessionError,
  type NewSession,
  SessionError,
  type SessionLimit,
  type Write,
  type WriteOutcome,
} from "@sojourn/core/adapter";
import type { WithId } from "mongodb";
import { inOneAnswer } from "./connection.js";
import { byAge, hasEnded, isNotExpired, type SessionDocument } from "./document.js";
import { removeEach } from "./removals.js";
import type { Trips } from "./trips.js";
import { type Place, UserQueue } from "./user-queue.js";
import { changeSession, insertSession, readTarget } from "./writes.js";

/** An attempt to gain a session. Its answers are `undefined` where everything must be looked at again. */
interface Attempt<Result> {
  /** Set when the answer does not depend on the limit. */
  readonly answer?: Result;
  /** Stores the session, once there is room for it. */
  gain(): Promise<Result | undefined>;
}

type Outcome = CreateResult | WriteOutcome;

/** Creates a session for a user under a limit. */
export function createLimited(
  trips: Trips,
  session: NewSession,
  userId: string,
  limit: SessionLimit,
): Promise<CreateResult> {
  const { sessions } = trips.connection;
  return gainSession<CreateResult>(trips, userId, limit, async () => {
    const occupant = await trips.read((options, watched) => sessions.findOne(watched({ sid: session.id }), options));
    const isTaken = occupant !== null && !hasEnded(occupant, await trips.now());
    return {
      ...(isTaken ? { answer: { status: "duplicate" } } : {}),
      gain: () => insertSession(trips, session),
    };
  });
}

/** Makes a write that may give a session to another user, under a limit. */
export function changeLimited(trips: Trips, write: Write, userId: string, limit: SessionLimit): Promise<WriteOutcome> {
  return gainSession<WriteOutcome>(trips, userId, limit, async () => {
    const target = await readTarget(trips, write);
    if (target.status === "refused") return { answer: target.refusal, gain: async () => target.refusal };
    // A user who has the session already gains nothing.
    if (target.record.userId === userId) {
      const kept = await changeSession(trips, write, { userId });
      return { ...(kept === undefined ? {} : { answer: kept }), gain: async () => undefined };
    }
    return { gain: () => changeSession(trips, write, { userId: { $ne: userId } }) };
  });
}

/**
 * Draws a ticket in the user's queue, counts the user's sessions, stores the new one, and gives the ticket back.
 *
 * Four round trips, and more only where other callers gain a session for the same user and there may not be room for all.
 */
async function gainSession<Result extends Outcome>(
  trips: Trips,
  userId: string,
  limit: SessionLimit,
  attempt: () => Promise<Attempt<Result>>,
): Promise<Result | { status: "limitReached" }> {
  const queue = new UserQueue(trips, userId);
  let mayArriveYet = false;
  try {
    let place = await queue.enter();
    let enoughMs = 0;
    while (trips.remainingMs > enoughMs) {
      const { remainingMs } = trips;
      const turn = await takeTurn(trips, queue, place, limit, { userId, attempt });
      if (turn.status === "answered") return turn.answer;
      place = turn.place;
      // Some time is left to give the ticket back, and to answer that nothing was gained.
      enoughMs = Math.max(2 * (remainingMs - trips.remainingMs), trips.connection.timeoutMs / 5);
    }
  } catch (error) {
    mayArriveYet = isSessionError(error) && error.outcomeUnknown;
    throw error;
  } finally {
    if (mayArriveYet) queue.abandon();
    else await queue.leave();
  }
  throw new SessionError("UNAVAILABLE", "@sojourn/mongodb: too many callers gain a session for this user");
}

type Turn<Result> =
  | { readonly status: "answered"; readonly answer: Result | { readonly status: "limitReached" } }
  | { readonly status: "again"; readonly place: Place };

async function takeTurn<Result extends Outcome>(
  trips: Trips,
  queue: UserQueue,
  place: Place,
  limit: SessionLimit,
  { userId, attempt }: { readonly userId: string; readonly attempt: () => Promise<Attempt<Result>> },
): Promise<Turn<Result>> {
  // In this order: whoever left the queue before this ticket was drawn has stored the sessions that are counted now.
  const [theirs, { answer, gain }] = await Promise.all([sessionsOf(trips, userId), attempt()]);
  if (answer !== undefined) return { status: "answered", answer };
  const room = limit.max - theirs.length;
  if (room <= 0 && limit.whenReached === "reject") return { status: "answered", answer: { status: "limitReached" } };
  if (!isClear(place, room, limit)) {
    const ahead = await queue.look(place);
    return { status: "again", place: ahead === undefined ? await queue.enter() : { ahead } };
  }
  const gained = await gain();
  if (gained === undefined) return { status: "again", place };
  const surplus = theirs.slice(0, Math.max(0, 1 - room));
  return { status: "answered", answer: await settled(trips, queue, gained, surplus) };
}

/** Whether there is room, also if each caller ahead gains a session. */
function isClear({ ahead }: Place, room: number, { whenReached }: SessionLimit): boolean {
  return room > ahead || (ahead === 0 && whenReached === "evictOldest");
}

/** Ends the sessions that have made room for the one gained. */
async function settled<Result extends Outcome>(
  trips: Trips,
  queue: UserQueue,
  gained: Result,
  surplus: readonly WithId<SessionDocument>[],
): Promise<Result> {
  if (gained.status !== "created" && gained.status !== "written") return gained;
  const { userId } = gained.record;
  const moment = await trips.now();
  const filters = surplus.map(({ _id }) => ({ _id, userId: userId ?? "", ...isNotExpired(moment) }));
  const [evicted] = await Promise.all([removeEach(trips, filters), queue.leave()]);
  return { ...gained, evicted: evicted.map(({ id }) => id) };
}

/** Returns the user's sessions that have not ended, oldest first. */
async function sessionsOf(trips: Trips, userId: string): Promise<WithId<SessionDocument>[]> {
  const moment = await trips.now();
  const { sessions } = trips.connection;
  const found = await trips.read((options, watched) =>
    sessions
      .find(watched({ userId, ...isNotExpired(moment) }), {
        ...options,
        projection: { sid: 1, createdAt: 1 },
        ...inOneAnswer,
      })
      .toArray(),
  );
  return found.sort(byAge);
}
