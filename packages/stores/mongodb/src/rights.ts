import { SessionError } from "@sojourn/core/adapter";
import type { Document } from "mongodb";
import { isUnknownToServer } from "./errors.js";
import type { Trips } from "./trips.js";

/** The rights that the operations of a store need on both of its collections. */
const neededActions = ["find", "insert", "update", "remove"];

/** @throws SessionError `BACKEND` when the user lacks a right that later calls need */
export async function assertRights(trips: Trips): Promise<void> {
  const { db, sessions, guards } = trips.connection;
  const command = { connectionStatus: 1, showPrivileges: true };
  const status = await trips
    .read((_, watched) => db.command(watched(command), { readPreference: "primary" }))
    .catch((error: unknown) => {
      // Lesser servers have no rights to tell of.
      if (isUnknownToServer(error)) return {};
      throw error;
    });
  for (const { collectionName, namespace } of [sessions, guards]) {
    const [missing] = missingActions(status, db.databaseName, collectionName);
    if (missing !== undefined) throw missingRight(missing, namespace);
  }
}

/** Returns the needed actions that the privileges in an answer of `connectionStatus` do not grant. */
export function missingActions(status: Document, dbName: string, collectionName: string): string[] {
  const users: unknown = status.authInfo?.authenticatedUsers;
  const privileges: unknown = status.authInfo?.authenticatedUserPrivileges;
  // Without a login everything is allowed, or nothing was said.
  if (!Array.isArray(users) || users.length === 0 || !Array.isArray(privileges)) return [];
  const granted = new Set<unknown>();
  for (const { resource, actions } of privileges as Document[]) {
    if (!covers(resource, dbName, collectionName)) continue;
    for (const action of Array.isArray(actions) ? actions : []) granted.add(action);
  }
  return granted.has("anyAction") ? [] : neededActions.filter((action) => !granted.has(action));
}

export function missingRight(action: string, namespace: string, cause?: unknown): SessionError {
  const message = `@sojourn/mongodb: ensureSchema: the user lacks the right ${action} on ${namespace}`;
  return new SessionError("BACKEND", message, { cause });
}

/** An empty name stands for every database, or for every collection. */
function covers(resource: Document | undefined, dbName: string, collectionName: string): boolean {
  if (resource?.anyResource === true) return true;
  const { db, collection } = resource ?? {};
  return (db === "" || db === dbName) && (collection === "" || collection === collectionName);
}
