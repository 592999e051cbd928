import { SessionError } from "@sojourn/core/adapter";
import type { Collection, Document, IndexDescription, IndexDescriptionInfo } from "mongodb";
import type { Connection } from "./connection.js";
import { isMissingCollection, isUnknownToServer } from "./errors.js";

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

/**
 * Creates what is missing, in two round trips; where all is there, one that asks for no right but to read. Any number of
 * processes may do so at once.
 */
export async function createIndexes(connection: Connection): Promise<void> {
  await Promise.all([
    createMissing(connection, connection.sessions, sessionIndexes),
    createMissing(connection, connection.guards, guardIndexes),
  ]);
}

async function createMissing<T extends Document>(
  connection: Connection,
  collection: Collection<T>,
  indexes: readonly IndexDescription[],
): Promise<void> {
  const existing = await connection.read("ensureSchema", () => indexesOf(collection));
  assertFit(existing, indexes);
  const missing = indexes.filter(({ name }) => !existing.some((index) => index.name === name));
  if (missing.length === 0) return;
  try {
    await connection.write("ensureSchema", () => collection.createIndexes([...missing]));
  } catch (error) {
    if (!isUnknownToServer(error)) throw error;
    // A server without TTL indexes: there the sweep alone removes.
    const plain = missing.map(({ expireAfterSeconds: _, ...index }) => index);
    await connection.write("ensureSchema", () => collection.createIndexes(plain));
  }
}

async function indexesOf<T extends Document>(collection: Collection<T>): Promise<IndexDescriptionInfo[]> {
  try {
    return await collection.indexes();
  } catch (error) {
    if (isMissingCollection(error)) return [];
    throw error;
  }
}

/**
 * Refuses what is there and would break a promise: an index of one of our names that differs, and a collation, by which
 * other ids would be the same. A collection's own collation shows at its index on `_id`.
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
