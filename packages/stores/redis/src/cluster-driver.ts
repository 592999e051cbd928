import {
  aliasPrefix,
  type Call,
  type CreateResult,
  type EndedSession,
  type NewSession,
  type Read,
  type SessionCounts,
  type SessionLimit,
  type SessionRecord,
  type StoreCapabilities,
  type Touch,
  type Write,
  type WriteOutcome,
} from "@sojourn/core/adapter";
import { ClusterIndex } from "./cluster-index.js";
import { ClusterMembers, type JoinResult } from "./cluster-members.js";
import { ClusterMove } from "./cluster-move.js";
import { ClusterRecords } from "./cluster-records.js";
import { ClusterRename } from "./cluster-rename.js";
import type { Connection } from "./connection.js";
import { commonCapabilities, RedisDriver } from "./driver.js";
import type { Keyspace } from "./keys.js";
import { joinForMs, memberOf, noMembership, nonce } from "./member.js";
import {
  commonHeaderBytes,
  corrupt,
  createdRecord,
  oldestFirst,
  readHasUser,
  readRecord,
  tooLate,
  tryReadRecord,
} from "./record.js";
import { asBuffer } from "./reply.js";
import * as steps from "./scripts/cluster-record.js";
import { liveSizes, startsWith, type WalkPosition, walk, walkAll, walkSize } from "./walk.js";

/** Where `clear` goes on. */
interface ClearPosition {
  readonly clears: "users" | "sessions";
  readonly walk: WalkPosition | undefined;
}

/**
 * Sessions and indexes spread over the nodes of a Cluster. No command ever names keys of two slots.
 *
 * At any moment, and wherever a process dies, a live session is in the index of its user. So the index is written first when a
 * user gains a session, and last when the user loses it. A list shows a member only with the record that names its membership.
 * A log-out first orders the members dead, then ends the records, and leaves tombstones for the sessions that are still on
 * their way. `docs/adr/0007-redis-cluster-index-first.md` gives the reason of each step.
 */
export class ClusterDriver extends RedisDriver {
  readonly capabilities: StoreCapabilities = { ...commonCapabilities, userIndex: "eventual", limit: "settled" };
  readonly #records: ClusterRecords;
  readonly #index: ClusterIndex;
  readonly #members: ClusterMembers;
  readonly #move: ClusterMove;
  readonly #rename: ClusterRename;

  constructor(connection: Connection, keys: Keyspace, timeoutMs: number) {
    super(connection, keys, timeoutMs);
    this.#records = new ClusterRecords(connection, keys);
    this.#index = new ClusterIndex(connection, keys);
    this.#members = new ClusterMembers(this.#records, this.#index);
    this.#move = new ClusterMove(this.#records, this.#index, this.#members);
    this.#rename = new ClusterRename(this.#records, this.#index, this.#members);
  }

  async create(session: NewSession, limit: SessionLimit | undefined, call: Call): Promise<CreateResult> {
    const { id, userId, payload, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 } = session;
    const lifetimeMs = Math.min(idleMs, absoluteMs);
    const random = nonce();
    if (userId === undefined) {
      const timed = [noMembership(random), "", lifetimeMs, "", "", absoluteMs, version];
      const { status, now } = await this.#records.run(call, steps.put, id, [...timed, "", payload, ageMs, inactiveMs]);
      if (status === "duplicate") return { status };
      return { status: "created", record: createdRecord(session, now), evicted: [] };
    }
    const joined = await this.#members.join(call, userId, { id, limit, random, ageMs, expires: lifetimeMs });
    if (joined.status !== "joined") return { status: await this.#refusal(call, id, joined) };
    const record = createdRecord(session, joined.now);
    const { expiresAt, lastActiveAt, createdAt, endsAt } = record;
    const args = [
      joined.membership,
      joined.notAfter,
      expiresAt,
      lastActiveAt,
      createdAt,
      endsAt,
      version,
      userId,
      payload,
    ];
    const { status, now } = await this.#records.run(call, steps.put, id, args);
    switch (status) {
      case "duplicate":
        await this.#index.leave(call, userId, joined);
        return { status };
      case "late":
        await this.#index.leave(call, userId, joined);
        throw tooLate("create", joinForMs);
      case "stored":
      case "past":
      // Ended before it was stored, by a log-out or for want of room: created first, then ended.
      case "ended": {
        const evicted = await this.#members.evict(call, userId, joined);
        return { status: "created", record: { ...record, now }, evicted };
      }
    }
  }

  write(write: Write, call: Call): Promise<WriteOutcome> {
    const { newId } = write;
    return newId === undefined ? this.#move.write(write, call) : this.#rename.rename({ ...write, newId }, call);
  }

  async touch({ id, idleMs, shorten }: Touch, call: Call): Promise<boolean> {
    const { status, rest } = await this.#records.run(call, steps.touch, id, [idleMs, shorten ? "shorten" : ""]);
    switch (status) {
      case "touched": {
        const { userId, member, expiresAt } = memberOf(id, asBuffer(rest[0]));
        if (userId !== undefined) await this.#members.raise(call, userId, member, expiresAt);
        return true;
      }
      case "missing":
        return false;
      case "corrupt":
        throw corrupt(id);
    }
  }

  async destroy(id: string, call: Call): Promise<EndedSession | undefined> {
    const { status, rest } = await this.#records.run(call, steps.destroy, id, []);
    switch (status) {
      case "ended": {
        const { userId, member } = memberOf(id, asBuffer(rest[0]));
        if (userId !== undefined) await this.#index.remove(call, userId, [member]);
        return { id, userId };
      }
      case "missing":
        return undefined;
      case "corrupt":
        throw corrupt(id);
    }
  }

  async listByUser(userId: string, call: Call): Promise<readonly Read[]> {
    let seen = new Set<string>();
    for (;;) {
      const { now, members } = await this.#index.list(call, userId);
      const read = (id: string) => this.#records.read(call, id);
      const { owned, missing } = await this.#members.heal(call, userId, members, now, read);
      // A member without a record may have been renamed in between, and is then to be listed under its new id.
      if (missing === 0 || members.every(({ text }) => seen.has(text))) {
        return owned.map(([id, value]) => tryReadRecord(id, value, now)).sort(oldestFirst);
      }
      seen = new Set(members.map(({ text }) => text));
    }
  }

  async destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]> {
    const ordered = await this.#index.order(call, userId, except);
    const { ended, gone } = await this.#members.end(call, ordered, "order");
    await this.#index.remove(call, userId, gone);
    return ended.map(({ id }) => id);
  }

  async count(call: Call): Promise<SessionCounts> {
    const counts = { sessions: 0, sessionsWithUser: 0, users: 0 };
    const aliases = Buffer.from(this.keys.sessionPrefix + aliasPrefix);
    await walkAll(this.connection, call, this.keys.sessionPattern, async (keys) => {
      const sessions = keys.filter((key) => !startsWith(key, aliases));
      for (const head of await Promise.all(sessions.map((key) => this.readHead(key, commonHeaderBytes, call)))) {
        const hasUser = head && readHasUser(head);
        if (hasUser !== undefined) counts.sessions++;
        if (hasUser === true) counts.sessionsWithUser++;
      }
    });
    await walkAll(this.connection, call, this.keys.userPattern, async (indexes) => {
      counts.users += (await liveSizes(this.connection, call, indexes)).length;
    });
    return counts;
  }

  /** Logs users out first, so that no login that is on its way gets a record without a place in the index. */
  async clear(from: unknown, call: Call): Promise<ClearPosition | undefined> {
    // The guard hands back the position of the step before.
    const { clears, walk: position } = (from as ClearPosition | undefined) ?? { clears: "users", walk: undefined };
    const { sessionPrefix, sessionPattern, userPrefix, userPattern } = this.keys;
    const [prefix, pattern] = clears === "users" ? [userPrefix, userPattern] : [sessionPrefix, sessionPattern];
    const prefixBytes = Buffer.byteLength(prefix);
    const { keys, next } = await walk(this.connection, call, pattern, walkSize, position);
    const names = keys.map((key) => key.toString("utf8", prefixBytes));
    if (clears === "users") await Promise.all(names.map((userId) => this.#clearIndex(userId, call)));
    else await Promise.all(names.map((id) => this.#records.run(call, steps.wipe, id, [])));
    if (next !== undefined) return { clears, walk: next };
    return clears === "users" ? { clears: "sessions", walk: undefined } : undefined;
  }

  protected override async found(id: string, value: Buffer, call: Call): Promise<SessionRecord | undefined> {
    const record = await this.#records.recordIn(call, id, value);
    return record && readRecord(id, record, this.connection.clock.earliest());
  }

  protected readAll(keys: readonly (string | Buffer)[], call: Call): Promise<(Buffer | undefined)[]> {
    return Promise.all(keys.map((key) => this.readKey(key, call)));
  }

  /** As a log-out, but corrupt records lose their places too: they are about to be removed. */
  async #clearIndex(userId: string, call: Call): Promise<void> {
    const ordered = await this.#index.order(call, userId);
    await this.#members.end(call, ordered, "order");
    await this.#index.remove(call, userId, ordered);
  }

  /** A session that the limit refuses is a duplicate first. */
  async #refusal(call: Call, id: string, { status }: JoinResult): Promise<"duplicate" | "limitReached"> {
    return status === "duplicate" || (await this.#records.isTaken(call, id)) ? "duplicate" : "limitReached";
  }
}
