import type { IndexDescription } from "mongodb";
import type { Connection } from "./connection.js";
import { isUnknownToServer } from "./errors.js";

/**
 * How long after its end a document is removed by the server itself, where it has TTL indexes. It is the backstop for a
 * collection that nobody sweeps any more; our own sweep comes first, because only that one can tell who has expired.
 */
const backstopSeconds = 3_600;
export const backstopMs: number = backstopSeconds * 1_000;

const sessionIndexes: IndexDescription[] = [
  { key: { sid: 1 }, name: "sojourn_sid", unique: true },
  { key: { userId: 1 }, name: "sojourn_user", sparse: true },
  { key: { idleEndsAt: 1 }, name: "sojourn_idle_end", expireAfterSeconds: backstopSeconds },
  { key: { endsAt: 1 }, name: "sojourn_end", expireAfterSeconds: backstopSeconds },
];

const guardIndexes: IndexDescription[] = [
  { key: { touchedAt: 1 }, name: "sojourn_touched", expireAfterSeconds: backstopSeconds },
];

/** Creates what is missing; where all is there it changes nothing. Any number of processes may do so at once. */
export async function createIndexes(connection: Connection): Promise<void> {
  await Promise.all([
    create(sessionIndexes, (indexes) => connection.sessions.createIndexes(indexes)),
    create(guardIndexes, (indexes) => connection.guards.createIndexes(indexes)),
  ]);

  async function create(indexes: IndexDescription[], request: (indexes: IndexDescription[]) => Promise<unknown>) {
    await connection.write("ensureSchema", () =>
      request(indexes).catch((error: unknown) => {
        if (!isUnknownToServer(error)) throw error;
        // A server without TTL indexes: there the sweep alone removes.
        return request(indexes.map(({ expireAfterSeconds: _, ...index }) => index));
      }),
    );
  }
}
