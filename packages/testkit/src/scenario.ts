import type { SessionStore } from "@sojourn/core";
import { isSessionError } from "@sojourn/core";
import type {
  DestroyByUserOptions,
  NewSession,
  RenameOptions,
  SessionChange,
  StoreCapabilities,
  TouchOptions,
  UpdateOptions,
} from "@sojourn/core/adapter";

/** Lets time pass by the store's clock. */
export type Pass = (ms: number) => Promise<void>;

/** One call of one method, with the data that identifies it. */
export interface Operation {
  /** For messages: `update a`. */
  readonly name: string;
  readonly verb: string;
  /** The session concerned, if there is one. */
  readonly id?: string | undefined;
  /** The new id of the session, if the operation renames one. */
  readonly newId?: string | undefined;
  /** The user concerned, or the new user of the session, if there is one. */
  readonly userId?: string | undefined;
  run(store: SessionStore, pass: Pass): Promise<unknown>;
}

/** A set of concurrent operations, their initial state, and the ids and users to compare afterwards. */
export interface Scenario {
  readonly name: string;
  /** Brings the store, which holds none of these ids and users, to the initial state. */
  arrange?(store: SessionStore, pass: Pass): Promise<unknown>;
  /** Two or three operations: the number of orders grows with the factorial. */
  readonly operations: readonly Operation[];
  /** The ids and users whose final state is compared. */
  readonly ids: readonly string[];
  readonly users: readonly string[];
}

/** Operations by the name of their method. */
export const operations = {
  create: (session: NewSession, options?: UpdateOptions): Operation => ({
    name: `create ${session.id}`,
    verb: "create",
    id: session.id,
    userId: session.userId,
    run: (store) => store.create(session, options),
  }),
  get: (id: string): Operation => ({ name: `get ${id}`, verb: "get", id, run: (store) => store.get(id) }),
  update: (id: string, change: SessionChange, options?: UpdateOptions): Operation => ({
    name: `update ${id}`,
    verb: "update",
    id,
    userId: change.userId ?? undefined,
    run: (store) => store.update(id, change, options),
  }),
  touch: (id: string, options: TouchOptions): Operation => ({
    name: `touch ${id}`,
    verb: "touch",
    id,
    run: (store) => store.touch(id, options),
  }),
  rename: (id: string, newId: string, change?: SessionChange, options?: RenameOptions): Operation => ({
    name: `rename ${id} to ${newId}`,
    verb: "rename",
    id,
    newId,
    userId: change?.userId ?? undefined,
    run: (store) => store.rename(id, newId, change, options),
  }),
  destroy: (id: string): Operation => ({
    name: `destroy ${id}`,
    verb: "destroy",
    id,
    run: (store) => store.destroy(id),
  }),
  listByUser: (userId: string): Operation => ({
    name: `listByUser ${userId}`,
    verb: "listByUser",
    userId,
    run: (store) => store.listByUser(userId),
  }),
  destroyByUser: (userId: string, options?: DestroyByUserOptions): Operation => ({
    name: `destroyByUser ${userId}`,
    verb: "destroyByUser",
    userId,
    run: (store) => store.destroyByUser(userId, options),
  }),
  sweep: (): Operation => ({ name: "sweep", verb: "sweep", run: (store) => store.sweep({ limit: 100 }) }),
  /** Only for harnesses that can pass time at once. */
  pass: (ms: number): Operation => ({ name: `${ms} ms pass`, verb: "pass", run: (_, pass) => pass(ms) }),
} as const;

/** Returns the outcome of an operation, as text that can be compared between a store and the model. */
export async function outcomeOf(
  { verb, run }: Operation,
  store: SessionStore,
  pass: Pass,
  capabilities: StoreCapabilities,
): Promise<string> {
  try {
    const result = await run(store, pass);
    // The backend decides when it sweeps a session. Where `destroyByUser` is no single step, the ids that it found
    // vary, too.
    const unspecified = verb === "sweep" || (verb === "destroyByUser" && capabilities.userIndex === "eventual");
    return unspecified ? verb : comparable(result, capabilities);
  } catch (error) {
    if (isSessionError(error)) return `rejects ${error.code}: ${error.message}`;
    throw error;
  }
}

/** Returns the visible final state of a scenario. */
export async function stateOf(
  { ids, users }: Scenario,
  store: SessionStore,
  capabilities: StoreCapabilities,
): Promise<string> {
  const records = await Promise.all(ids.map(async (id) => [id, await store.get(id)]));
  const lists = await Promise.all(users.map(async (userId) => [userId, await store.listByUser(userId)]));
  return comparable({ records, lists }, capabilities);
}

/**
 * Describes a record. Times differ between a store and the model: lifetimes are compared in steps of ten minutes, so
 * that a slow machine does not matter. Sessions of one millisecond have no order: lists are compared as sets.
 */
function comparable(result: unknown, { limit }: StoreCapabilities): string {
  const text = JSON.stringify(result, (key, value: unknown) => {
    if (key === "now" || key === "createdAt" || key === "lastActiveAt") return undefined;
    if (key === "evicted" && limit === "settled") return undefined;
    if (isRecord(value)) {
      const { expiresAt, endsAt, createdAt, ...rest } = value;
      return { ...rest, idle: tens(expiresAt - createdAt), absolute: tens(endsAt - createdAt) };
    }
    if (!Array.isArray(value) || key === "records" || key === "lists") return value;
    const isList = value.every((entry) => typeof entry === "string" || isRecord(entry));
    return isList ? [...value].sort((a, b) => (JSON.stringify(idOf(a)) < JSON.stringify(idOf(b)) ? -1 : 1)) : value;
  });
  return text ?? "undefined";
}

interface Times {
  readonly id: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly endsAt: number;
}

function isRecord(value: unknown): value is Times {
  return typeof value === "object" && value !== null && "expiresAt" in value;
}

function idOf(entry: unknown): unknown {
  return isRecord(entry) ? entry.id : entry;
}

function tens(ms: number): number {
  return Math.round(ms / 600_000);
}
