import type {
  CreateOptions,
  CreateResult,
  DestroyByUserOptions,
  EndedSession,
  NewSession,
  ReadManyOptions,
  RenameOptions,
  RenameResult,
  SessionChange,
  SessionCounts,
  SessionLimit,
  SessionRecord,
  StoreCapabilities,
  TouchOptions,
  UpdateOptions,
  UpdateResult,
} from "@sojourn/core/adapter";
import { asBuffer, type Connection, type ScriptReply } from "./connection.js";
import type { Keyspace } from "./keys.js";
import { commonCapabilities, oldestFirst, type SessionProtocol } from "./protocol.js";
import { corrupt, readRecord, readRecords } from "./record.js";
import * as oneSession from "./scripts/one-session.js";
import type { Script } from "./scripts/script.js";
import * as scripts from "./scripts/single-slot.js";
import { liveSizes, walkKeys } from "./walk.js";

/** Sessions and their index on one node, or in one slot of a Cluster: each verb is one script, atomic, one round trip. */
export class SingleSlotProtocol implements SessionProtocol {
  readonly capabilities: StoreCapabilities = { ...commonCapabilities, userIndex: "atomic", limit: "atomic" };
  readonly #connection: Connection;
  readonly #keys: Keyspace;

  constructor(connection: Connection, keys: Keyspace) {
    this.#connection = connection;
    this.#keys = keys;
  }

  async create(session: NewSession, { limit }: CreateOptions): Promise<CreateResult> {
    const { id, userId, payload, idleMs, absoluteMs } = session;
    const args = [...limitArgs(limit), id, userId ?? "", idleMs, absoluteMs, payload];
    const { status, now, rest } = await this.#run("create", scripts.create, [this.#session(id)], args);
    if (status !== "created") return { status: status === "limitReached" ? status : "duplicate" };
    const times = { createdAt: now, lastActiveAt: now, expiresAt: now + Math.min(idleMs, absoluteMs), now };
    const record = { id, userId, payload, version: 1, ...times, endsAt: now + absoluteMs };
    return { status, record, evicted: rest.map(String) };
  }

  async update(id: string, change: SessionChange, options: UpdateOptions): Promise<UpdateResult> {
    const { payload, userId, idleMs = "" } = change;
    const reply =
      payload !== undefined && userId === undefined
        ? await this.#runOne("update", oneSession.save, id, [options.expectedVersion ?? "", idleMs, payload])
        : await this.#run("update", scripts.write, [this.#session(id)], writeArgs(id, id, change, options));
    return written("updated", id, id, change, reply);
  }

  async rename(id: string, newId: string, change: SessionChange, options: RenameOptions): Promise<RenameResult> {
    const keys = [this.#session(id), this.#session(newId)];
    const reply = await this.#run("rename", scripts.write, keys, writeArgs(id, newId, change, options));
    if (reply.status === "duplicate") return { status: "duplicate" };
    return written("renamed", id, newId, change, reply);
  }

  async touch(id: string, { idleMs, shorten }: TouchOptions): Promise<boolean> {
    const { status } = await this.#runOne("touch", oneSession.touch, id, [idleMs, shorten ? "shorten" : ""]);
    if (status === "corrupt") throw corrupt(id);
    return status === "touched";
  }

  async destroy(id: string): Promise<EndedSession | undefined> {
    const { status, rest } = await this.#runOne("destroy", oneSession.destroy, id, []);
    if (status === "corrupt") throw corrupt(id);
    return status === "destroyed" ? { id, userId: String(rest[0]) || undefined } : undefined;
  }

  async listByUser(userId: string, { onCorrupt }: ReadManyOptions): Promise<SessionRecord[]> {
    const { now, rest } = await this.#run("listByUser", scripts.listByUser, [this.#index(userId)], [userId]);
    const stored: [id: string, value: Buffer][] = [];
    for (let i = 0; i < rest.length; i += 2) stored.push([String(rest[i]), asBuffer(rest[i + 1])]);
    return readRecords(stored, now, onCorrupt).sort(oldestFirst);
  }

  async destroyByUser(userId: string, { except }: DestroyByUserOptions): Promise<string[]> {
    const args = [userId, except ?? ""];
    const { rest } = await this.#run("destroyByUser", scripts.destroyByUser, [this.#index(userId)], args);
    return rest.map(String);
  }

  async count(): Promise<SessionCounts> {
    const { sessionPrefix, pattern } = this.#keys;
    const own = Buffer.from(sessionPrefix);
    const counts = { sessions: 0, sessionsWithUser: 0, users: 0 };
    for await (const keys of walkKeys(this.#connection, "count", pattern)) {
      const indexes = keys.filter((key) => !startsWith(key, own));
      counts.sessions += keys.length - indexes.length;
      const sizes = await liveSizes(this.#connection, indexes);
      counts.sessionsWithUser += sizes.reduce((sum, size) => sum + size, 0);
      counts.users += sizes.length;
    }
    return counts;
  }

  async clear(): Promise<void> {
    for await (const keys of walkKeys(this.#connection, "clear", this.#keys.pattern)) {
      if (keys.length > 0) await this.#connection.command({ operation: "clear", writes: true }, "UNLINK", ...keys);
    }
  }

  #run(operation: string, script: Script, keys: string[], args: (string | number)[]): Promise<ScriptReply> {
    const { sessionPrefix, userPrefix } = this.#keys;
    return this.#connection.script(operation, script, keys, [sessionPrefix, userPrefix, ...args]);
  }

  #runOne(operation: string, script: Script, id: string, args: (string | number)[]): Promise<ScriptReply> {
    return this.#connection.script(operation, script, [this.#session(id)], [this.#keys.userPrefix, id, ...args]);
  }

  #session(id: string): string {
    return this.#keys.sessionPrefix + id;
  }

  #index(userId: string): string {
    return this.#keys.userPrefix + userId;
  }
}

/** As the scripts take it: 0 for none. */
function limitArgs(limit: SessionLimit | undefined): [max: number, whenReached: string] {
  return [limit?.max ?? 0, limit?.whenReached ?? ""];
}

function writeArgs(id: string, newId: string, change: SessionChange, options: UpdateOptions): (string | number)[] {
  const { userId, payload, idleMs } = change;
  return [
    ...limitArgs(options.limit),
    id,
    newId,
    options.expectedVersion ?? "",
    idleMs ?? "",
    ...(userId === undefined ? ["keep", ""] : ["set", userId ?? ""]),
    ...(payload === undefined ? ["keep", ""] : ["set", payload]),
  ];
}

type WriteResult<Written> =
  | { readonly status: Written; readonly record: SessionRecord; readonly evicted: readonly string[] }
  | { readonly status: "conflict"; readonly current: SessionRecord }
  | { readonly status: "missing" | "limitReached" };

/** What the script `write` answered, as the contract says it. */
function written<Written>(
  as: Written,
  id: string,
  newId: string,
  change: SessionChange,
  { status, now, rest }: ScriptReply,
): WriteResult<Written> {
  const [record, ...evicted] = rest;
  switch (status) {
    case "written":
      return {
        status: as,
        record: readRecord(newId, asBuffer(record), now, change.payload),
        evicted: evicted.map(String),
      };
    case "conflict":
      return { status, current: readRecord(id, asBuffer(record), now) };
    case "limitReached":
      return { status };
    case "corrupt":
      throw corrupt(id);
    default:
      return { status: "missing" };
  }
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0;
}
