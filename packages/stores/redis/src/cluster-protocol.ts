import {
  type CreateOptions,
  type CreateResult,
  type DestroyByUserOptions,
  type EndedSession,
  type NewSession,
  type ReadManyOptions,
  type RenameOptions,
  type RenameResult,
  type SessionChange,
  type SessionCounts,
  SessionError,
  type SessionRecord,
  type StoreCapabilities,
  type TouchOptions,
  type UpdateOptions,
  type UpdateResult,
} from "@sojourn/core/adapter";
import { ClusterIndex, type Joined } from "./cluster-index.js";
import { asBuffer, type Connection, type Reply, type ScriptReply } from "./connection.js";
import type { Keyspace } from "./keys.js";
import { joinForMs, memberText, noMembership, nonce } from "./member.js";
import { commonCapabilities, oldestFirst, type SessionProtocol } from "./protocol.js";
import {
  commonHeaderBytes,
  corrupt,
  isTombstone,
  readHasUser,
  readOwnership,
  readRecord,
  readRecords,
} from "./record.js";
import * as steps from "./scripts/cluster-record.js";
import type { Script } from "./scripts/script.js";
import { liveSizes, walkKeys } from "./walk.js";

/**
 * Sessions and indexes spread over the nodes of a Cluster. No command ever names keys of two slots.
 *
 * What must be true at any moment, whoever dies in between: a live session is in the index of its user. So the index is
 * written first when a session is gained, and last when it is lost; a list shows a member only with the record that names
 * its membership; and a log-out first orders its members dead, then ends the records, leaving tombstones for those that
 * are still on their way. `docs/adr/0007-redis-cluster-index-first.md` says why each step is needed.
 */
export class ClusterProtocol implements SessionProtocol {
  readonly capabilities: StoreCapabilities = { ...commonCapabilities, userIndex: "eventual", limit: "settled" };
  readonly #connection: Connection;
  readonly #keys: Keyspace;
  readonly #index: ClusterIndex;

  constructor(connection: Connection, keys: Keyspace) {
    this.#connection = connection;
    this.#keys = keys;
    this.#index = new ClusterIndex(connection, keys);
  }

  async create(session: NewSession, { limit }: CreateOptions): Promise<CreateResult> {
    const { id, userId, payload, idleMs, absoluteMs } = session;
    const lifetimeMs = Math.min(idleMs, absoluteMs);
    const random = nonce();
    if (userId === undefined) {
      const args = [noMembership(random), "", lifetimeMs, "", "", absoluteMs, 1, "", payload];
      const { status, now } = await this.#run("create", steps.put, id, args);
      if (status === "duplicate") return { status };
      return { status: "created", record: newRecord(session, now, now), evicted: [] };
    }
    const joined = await this.#index.join("create", userId, { id, limit, random, expires: lifetimeMs });
    if (joined.status !== "joined") {
      return {
        status: joined.status === "duplicate" || (await this.#isTaken("create", id)) ? "duplicate" : "limitReached",
      };
    }
    const { membership, notAfter, createdAt, victims } = joined;
    const times = [createdAt + lifetimeMs, createdAt, createdAt, createdAt + absoluteMs];
    const args = [membership, notAfter, ...times, 1, userId, payload];
    const { status, now } = await this.#run("create", steps.put, id, args);
    if (status === "duplicate" || status === "late") {
      await this.#index.leave("create", userId, joined);
      if (status === "late") throw tooLate("create", joinForMs);
      return { status };
    }
    await this.#index.evict("create", userId, victims);
    return { status: "created", record: newRecord(session, createdAt, now), evicted: victims.map(({ id }) => id) };
  }

  async update(id: string, change: SessionChange, options: UpdateOptions): Promise<UpdateResult> {
    for (let attempt = 1; attempt <= moveAttempts; attempt++) {
      const random = nonce();
      const reply = await this.#write(id, change, options, random);
      if (reply.status !== "moves") return this.#updated(id, change, reply);
      const result = await this.#move(id, change, options, random, reply);
      if (result) return result;
    }
    throw new SessionError("UNAVAILABLE", "@sojourn/redis: update: too many others move the session at the same time");
  }

  async touch(id: string, { idleMs, shorten }: TouchOptions): Promise<boolean> {
    const { status, rest } = await this.#run("touch", steps.touch, id, [idleMs, shorten ? "shorten" : ""]);
    if (status === "corrupt") throw corrupt(id);
    if (status !== "touched") return false;
    const { userId, text, expiresAt } = memberOf(id, rest[0]);
    if (userId !== undefined) await this.#index.raise("touch", userId, text, expiresAt);
    return true;
  }

  /**
   * The claim keeps other writers away while the session lies under both ids. The old id dies last and decides: if it was
   * destroyed meanwhile, the new one is taken back.
   */
  async rename(id: string, newId: string, change: SessionChange, options: RenameOptions): Promise<RenameResult> {
    const random = nonce();
    const claimed = await this.#run("rename", steps.claim, id, [options.expectedVersion ?? "", random, claimForMs]);
    switch (claimed.status) {
      case "claimed":
        break;
      case "conflict":
        return { status: "conflict", current: readRecord(id, asBuffer(claimed.rest[0]), claimed.now) };
      case "corrupt":
        throw corrupt(id);
      default:
        return { status: "missing" };
    }
    try {
      return await this.#renameClaimed(id, newId, change, options, random, claimed);
    } catch (error) {
      // Otherwise nobody can write to the session until the claim has expired.
      this.#run("rename", steps.unclaim, id, [random]).catch(() => {});
      throw error;
    }
  }

  async destroy(id: string): Promise<EndedSession | undefined> {
    const { status, rest } = await this.#run("destroy", steps.destroy, id, []);
    if (status === "corrupt") throw corrupt(id);
    if (status !== "destroyed") return undefined;
    const { userId, text } = memberOf(id, rest[0]);
    if (userId !== undefined) await this.#index.remove("destroy", userId, [{ text }]);
    return { id, userId };
  }

  async listByUser(userId: string, { onCorrupt }: ReadManyOptions): Promise<SessionRecord[]> {
    let seen = new Set<string>();
    for (;;) {
      const { now, members } = await this.#index.members("listByUser", userId);
      const read = (key: string) => this.#connection.peek("listByUser", key);
      const { owned, missing } = await this.#index.examine("listByUser", userId, members, now, read);
      // A member without a record may have been renamed in between, and is then to be listed under its new id.
      if (missing === 0 || members.every(({ text }) => seen.has(text))) {
        return readRecords(owned, now, onCorrupt).sort(oldestFirst);
      }
      seen = new Set(members.map(({ text }) => text));
    }
  }

  async destroyByUser(userId: string, { except }: DestroyByUserOptions): Promise<string[]> {
    const ordered = await this.#index.orderDead("destroyByUser", userId, except);
    const { ended, gone } = await this.#index.kill("destroyByUser", ordered);
    await this.#index.remove("destroyByUser", userId, gone);
    return ended.map(({ id }) => id);
  }

  async count(): Promise<SessionCounts> {
    const counts = { sessions: 0, sessionsWithUser: 0, users: 0 };
    for await (const keys of walkKeys(this.#connection, "count", this.#keys.sessionPattern)) {
      const reading = keys.map((key) => this.#connection.peek("count", key, commonHeaderBytes));
      for (const head of await Promise.all(reading)) {
        const hasUser = head && readHasUser(head);
        if (hasUser !== undefined) counts.sessions++;
        if (hasUser === true) counts.sessionsWithUser++;
      }
    }
    for await (const indexes of walkKeys(this.#connection, "count", this.#keys.userPattern)) {
      counts.users += (await liveSizes(this.#connection, indexes)).length;
    }
    return counts;
  }

  /** Users are logged out first, so that no login that is on its way gets a record without a place in the index. */
  async clear(): Promise<void> {
    const userBytes = Buffer.byteLength(this.#keys.userPrefix);
    for await (const indexes of walkKeys(this.#connection, "clear", this.#keys.userPattern)) {
      await Promise.all(indexes.map((index) => this.#clearIndex(index.toString("utf8", userBytes))));
    }
    for await (const keys of walkKeys(this.#connection, "clear", this.#keys.sessionPattern)) {
      await Promise.all(keys.map((key) => this.#connection.script("clear", steps.wipe, [key.toString()], [])));
    }
  }

  /** As a log-out, but corrupt records lose their places too: they are about to be removed. */
  async #clearIndex(userId: string): Promise<void> {
    const ordered = await this.#index.orderDead("clear", userId);
    await this.#index.kill("clear", ordered);
    await this.#index.remove("clear", userId, ordered);
  }

  /** What a write that was no move came to, with the index brought up to it. */
  async #updated(id: string, change: SessionChange, { status, now, rest }: ScriptReply): Promise<UpdateResult> {
    switch (status) {
      case "written": {
        const record = readRecord(id, asBuffer(rest[0]), now, change.payload);
        const before = memberOf(id, rest[1]);
        if (before.userId !== undefined && record.userId === undefined) {
          await this.#index.remove("update", before.userId, [before]);
        } else if (record.userId !== undefined && change.idleMs !== undefined) {
          await this.#index.raise("update", record.userId, before.text, record.expiresAt);
        }
        return { status: "updated", record, evicted: [] };
      }
      case "conflict":
        return { status, current: readRecord(id, asBuffer(rest[0]), now) };
      case "corrupt":
        throw corrupt(id);
      default:
        return { status: "missing" };
    }
  }

  /**
   * Moves a session to another user: into the new index, then the record, then out of the old index.
   *
   * @returns `undefined` when another move or a log-out of the new user came in between
   */
  async #move(
    id: string,
    change: SessionChange,
    options: UpdateOptions,
    random: string,
    { now, rest }: ScriptReply,
  ): Promise<UpdateResult | undefined> {
    const userId = change.userId ?? undefined;
    const old = readRecord(id, asBuffer(rest[0]), now);
    const moved = changed(old, id, change, now);
    if (userId === undefined) throw new TypeError("a session moves to a user");
    const { createdAt, expiresAt: expires } = moved;
    const joined = await this.#index.join("update", userId, { id, limit: options.limit, random, createdAt, expires });
    if (joined.status !== "joined") return { status: "limitReached" };
    const reply = await this.#write(id, change, options, random, joined);
    if (reply.status !== "written" && reply.status !== "ended") {
      await this.#index.leave("update", userId, joined);
      return reply.status === "lost" ? undefined : this.#updated(id, change, reply);
    }
    const written = reply.status === "written";
    // Ended on its way by whoever logged the new user out or needed the place: moved first, then ended.
    const record = written ? readRecord(id, asBuffer(reply.rest[0]), reply.now, change.payload) : moved;
    const before = memberOf(id, written ? reply.rest[1] : rest[0]);
    await Promise.all([
      this.#index.evict("update", userId, joined.victims),
      before.userId === undefined ? undefined : this.#index.remove("update", before.userId, [before]),
    ]);
    return { status: "updated", record, evicted: joined.victims.map((victim) => victim.id) };
  }

  async #renameClaimed(
    id: string,
    newId: string,
    change: SessionChange,
    { limit }: RenameOptions,
    random: string,
    { now, rest }: ScriptReply,
  ): Promise<RenameResult> {
    const stored = asBuffer(rest[0]);
    const old = readRecord(id, stored, now);
    const before = memberOf(id, stored);
    const renamed = changed(old, newId, change, now);
    const { userId } = renamed;
    const moves = userId !== old.userId;
    const unclaim = () => this.#run("rename", steps.unclaim, id, [random]);

    if (newId === id) {
      await unclaim();
      return { status: "duplicate" };
    }
    const joined =
      userId === undefined
        ? undefined
        : await this.#index.join("rename", userId, {
            id: newId,
            limit: moves ? limit : undefined,
            random,
            createdAt: old.createdAt,
            expires: renamed.expiresAt,
            replaces: moves ? undefined : before.text,
          });
    if (joined !== undefined && joined.status !== "joined") {
      const [isTaken] = await Promise.all([this.#isTaken("rename", newId), unclaim()]);
      if (joined.status === "ended") return { status: "missing" };
      return { status: isTaken ? "duplicate" : joined.status };
    }
    const takeBack = async (): Promise<void> => {
      if (joined && userId !== undefined) await this.#index.leave("rename", userId, joined);
    };
    const membership = joined?.membership ?? noMembership(random);
    const put = await this.#put(renamed, membership, joined?.notAfter ?? now + joinForMs);
    if (put === "duplicate" || put === "late") {
      const [unclaimed, isDead] = await Promise.all([
        unclaim(),
        before.userId !== undefined && this.#index.isOrderedDead("rename", before.userId, before),
        takeBack(),
      ]);
      if (put === "late") throw tooLate("rename", joinForMs);
      // Whoever took the new id may have done so by evicting this session.
      return { status: isDead || unclaimed.status === "missing" ? "missing" : "duplicate" };
    }
    const finished = await this.#run("rename", steps.finishRename, id, [random, old.createdAt]);
    if (finished.status !== "finished") {
      await this.#run("rename", steps.kill, newId, [membership, joinForMs]);
      // Not at the same time: the new record must not live on without a place in the index.
      await takeBack();
      if (finished.status === "overtaken") throw tooLate("rename", claimForMs);
      return { status: "missing" };
    }
    const victims = joined?.victims ?? [];
    await Promise.all([
      before.userId === undefined ? undefined : this.#index.remove("rename", before.userId, [before]),
      userId === undefined ? undefined : this.#index.evict("rename", userId, victims),
    ]);
    // Where the put answered "ended", the session was logged out or evicted under its new id before that was written.
    return { status: "renamed", record: renamed, evicted: victims.map((victim) => victim.id) };
  }

  async #put(record: SessionRecord, membership: string, notAfter: number): Promise<string> {
    const { id, userId = "", payload, version, createdAt, lastActiveAt, expiresAt, endsAt } = record;
    const args = [membership, notAfter, expiresAt, lastActiveAt, createdAt, endsAt, version, userId, payload];
    return (await this.#run("rename", steps.put, id, args)).status;
  }

  #write(
    id: string,
    { idleMs, userId, payload }: SessionChange,
    { expectedVersion }: UpdateOptions,
    random: string,
    joined?: Joined,
  ): Promise<ScriptReply> {
    return this.#run("update", steps.write, id, [
      expectedVersion ?? "",
      idleMs ?? "",
      ...(userId === undefined ? ["keep", ""] : ["set", userId ?? ""]),
      random,
      ...(payload === undefined ? ["keep", ""] : ["set", payload]),
      joined?.membership ?? "",
      joined?.notAfter ?? "",
    ]);
  }

  /** A live session has the id. What the limit refuses is a duplicate first. */
  async #isTaken(operation: string, id: string): Promise<boolean> {
    const stored = asBuffer(await this.#connection.command({ operation }, "GETRANGE", this.#session(id), 0, 0));
    return stored.length > 0 && !isTombstone(stored);
  }

  #run(operation: string, step: Script, id: string, args: (string | number)[]): Promise<ScriptReply> {
    return this.#connection.script(operation, step, [this.#session(id)], args);
  }

  #session(id: string): string {
    return this.#keys.sessionPrefix + id;
  }
}

/** So often an update that changes the user begins again when others move the session at the same time. */
const moveAttempts = 20;
/** So long a rename keeps others from writing to its session. Later their writes win, and it is given up. */
const claimForMs = 10_000;

function newRecord(
  { id, userId, payload, idleMs, absoluteMs }: NewSession,
  createdAt: number,
  now: number,
): SessionRecord {
  const expiresAt = createdAt + Math.min(idleMs, absoluteMs);
  const times = { createdAt, lastActiveAt: createdAt, expiresAt, endsAt: createdAt + absoluteMs, now };
  return { id, userId, payload, version: 1, ...times };
}

function changed(old: SessionRecord, id: string, change: SessionChange, now: number): SessionRecord {
  const { payload, userId, idleMs } = change;
  return {
    ...old,
    id,
    userId: userId === undefined ? old.userId : (userId ?? undefined),
    payload: payload ?? old.payload,
    version: payload === undefined && userId === undefined ? old.version : old.version + 1,
    lastActiveAt: idleMs === undefined ? old.lastActiveAt : now,
    expiresAt: idleMs === undefined ? old.expiresAt : Math.min(now + idleMs, old.endsAt),
  };
}

/** A record's place in the index of its user, from its head. */
function memberOf(
  id: string,
  head: Reply | undefined,
): { userId: string | undefined; text: string; expiresAt: number } {
  const stored = asBuffer(head);
  const { userId, createdAt, expiresAt } = readRecord(id, stored, 0);
  const membership = readOwnership(stored)?.membership ?? "";
  return { userId, text: memberText(createdAt, membership, id), expiresAt };
}

function tooLate(operation: string, afterMs: number): SessionError {
  const seconds = afterMs / 1_000;
  return new SessionError("UNAVAILABLE", `@sojourn/redis: ${operation}: not done after ${seconds} s, and given up`);
}
