import { SessionError } from "@sojourn/core/adapter";
import type { Collection, Document, IndexDescription, IndexDescriptionInfo, OperationOptions } from "mongodb";
import { isMissingCollection, isUnauthorized, isUnknownToServer } from "./errors.js";
import { missingRight } from "./rights.js";
import type { Trips } from "./trips.js";

/**
 * So long after its end a document is removed by the server itself, where it has TTL indexes. It is the backstop for a
 * collection that is not swept any more. The store's own sweep comes first, because only the sweep reports expired sessions.
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

/**
 * Creates the indexes that are missing, in two round trips; in one where none is missing, which needs only the right to read. Any
 * number of processes may do so at once.
 *
 * The store's own write concern holds here too: a client with `w: 0` would not hear that the unique index was refused.
 */
export async function createIndexes(trips: Trips): Promise<void> {
  await Promise.all([
    createMissing(trips, trips.connection.sessions, sessionIndexes),
    createMissing(trips, trips.connection.guards, guardIndexes),
  ]);
}

async function createMissing<T extends Document>(
  trips: Trips,
  collection: Collection<T>,
  indexes: readonly IndexDescription[],
): Promise<void> {
  const create = (missing: readonly IndexDescription[]): Promise<string[]> =>
    trips.write((options) => collection.createIndexes([...missing], options));
  try {
    const existing = await trips.read((options) => indexesOf(collection, options));
    assertFit(existing, indexes);
    const missing = indexes.filter(({ name }) => !existing.some((index) => index.name === name));
    if (missing.length === 0) return;
    await create(missing).catch((error: unknown) => {
      if (!isUnknownToServer(error)) throw error;
      // A server without TTL indexes: there the sweep alone removes.
      return create(missing.map(({ expireAfterSeconds: _, ...index }) => index));
    });
  } catch (error) {
    throw isUnauthorized(error) ? missingRight("listIndexes or createIndex", collection.namespace, error) : error;
  }
}

async function indexesOf<T extends Document>(
  collection: Collection<T>,
  options: OperationOptions,
): Promise<IndexDescriptionInfo[]> {
  try {
    return await collection.indexes(options);
  } catch (error) {
    if (isMissingCollection(error)) return [];
    throw error;
  }
}

/**
 * Refuses an index of one of our names that differs, and a collation, by which other ids would be the same. The collation of
 * a collection shows at its index on `_id`.
 *
 * @throws SessionError `BACKEND`
 */
export function assertFit(existing: readonly IndexDescriptionInfo[], indexes: readonly IndexDescription[]): void {
  for (const index of existing) {
    const own = indexes.find(({ name }) => name === index.name);
    if (own === undefined && index.name !== "_id_") continue;
    const locale: unknown = index.collation?.locale ?? "simple";
    const isFit =
      locale === "simple" &&
      index.partialFilterExpression === undefined &&
      (own === undefined || (fieldsOf(index) === fieldsOf(own) && (own.unique !== true || index.unique === true)));
    if (isFit) continue;
    const message =
      locale === "simple"
        ? `the collection's index ${index.name} differs from the store's; drop it`
        : `the collection's index ${index.name} has a collation; ids have to be compared byte for byte`;
    throw new SessionError("BACKEND", `@sojourn/mongodb: ensureSchema: ${message}`);
  }
}

function fieldsOf({ key }: Pick<IndexDescription, "key">): string {
  return Object.entries(key).join();
}
