import type { EndedSession } from "@sojourn/core/adapter";
import type { Filter, WithId } from "mongodb";
import type { SessionDocument } from "./document.js";
import type { Trips } from "./trips.js";

/** Sessions removed one by one, so that each caller knows which ones, have so many commands under way at once. */
const parallelRemovals = 100;

export type DocumentId = WithId<SessionDocument>["_id"];

/** @param limit - 0 for all */
export async function findIds(trips: Trips, filter: Filter<SessionDocument>, limit: number): Promise<DocumentId[]> {
  const { sessions } = trips.connection;
  const found = await trips.read((options, watched) =>
    sessions
      .find(watched({ ...filter }), { ...options, projection: { _id: 1 } })
      .limit(limit)
      .toArray(),
  );
  return found.map(({ _id }) => _id);
}

/** Sends one command each: one for all would not answer which sessions it removed, and under which ids. */
export async function removeEach(trips: Trips, filters: readonly Filter<SessionDocument>[]): Promise<EndedSession[]> {
  const removed: EndedSession[] = [];
  for (let from = 0; from < filters.length; from += parallelRemovals) {
    const batch = filters.slice(from, from + parallelRemovals);
    const ended = await Promise.all(batch.map((filter) => removeOne(trips, filter)));
    removed.push(...ended.filter((session) => session !== undefined));
  }
  return removed;
}

export async function removeOne(trips: Trips, filter: Filter<SessionDocument>): Promise<EndedSession | undefined> {
  const { sessions } = trips.connection;
  const removed = await trips.writeAndReceive({ sid: 1, userId: 1 }, (options, watched) =>
    sessions.findOneAndDelete(watched({ ...filter }), options),
  );
  if (removed === null) return undefined;
  trips.hasDecided = true;
  return { id: removed.sid, userId: removed.userId };
}
