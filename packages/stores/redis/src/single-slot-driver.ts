import {
  aliasPrefix,
  type Batch,
  type BatchLimits,
  type Call,
  type CreateResult,
  type EndedSession,
  encodeBusMessage,
  type NewSession,
  type Read,
  type SessionCounts,
  type SessionLimit,
  type StoreCapabilities,
  type StoreDriver,
  type Touch,
  type Write,
  type WriteOutcome,
} from "@sojourn/core/adapter";
import type { Connection } from "./connection.js";
import { commonCapabilities, RedisDriver } from "./driver.js";
import type { Keyspace } from "./keys.js";
import { corrupt, createdRecord, oldestFirst, readRecord, tryReadRecord } from "./record.js";
import { asBuffer, type ScriptReply } from "./reply.js";
import * as oneSessionScripts from "./scripts/one-session.js";
import { announcing, type Script } from "./scripts/script.js";
import * as singleSlotScripts from "./scripts/single-slot.js";
import { liveSizes, startsWith, type WalkPosition, walk, walkAll, walkSize } from "./walk.js";

/** Enough for the gain, few enough to keep an answer small. */
const maxIdsPerRead = 100;

const silent = { scripts: singleSlotScripts, oneSession: oneSessionScripts };
const loud = { scripts: announcing(singleSlotScripts), oneSession: announcing(oneSessionScripts) };

/** Sessions and their indexes on one node, or in one slot of a Cluster: each verb is one script, atomic, one round trip. */
export class SingleSlotDriver extends RedisDriver {
  readonly capabilities: StoreCapabilities;
  readonly batches: { readonly reads: BatchLimits } = {
    reads: { max: maxIdsPerRead, inFlight: Number.POSITIVE_INFINITY },
  };
  /** Absent on a Cluster: while a slot moves, a command of several keys is refused. */
  declare readonly readMany?: NonNullable<StoreDriver["readMany"]>;

  readonly #scripts: typeof singleSlotScripts;
  readonly #oneSession: typeof oneSessionScripts;

  constructor(connection: Connection, keys: Keyspace, timeoutMs: number, announces: boolean) {
    super(connection, keys, timeoutMs);
    this.capabilities = { ...commonCapabilities, userIndex: "atomic", limit: "atomic", announces };
    const { scripts, oneSession } = announces ? loud : silent;
    this.#scripts = scripts;
    this.#oneSession = oneSession;
    if (!connection.isCluster) this.readMany = (batch, call) => this.#readMany(batch, call);
  }

  async create(session: NewSession, limit: SessionLimit | undefined, call: Call): Promise<CreateResult> {
    const { id, userId, payload, idleMs, absoluteMs, ageMs = 0, inactiveMs = 0, version = 1 } = session;
    const args = [...limitArgs(limit), id, userId ?? "", idleMs, absoluteMs, ageMs, inactiveMs, version, payload];
    const { status, now, rest } = await this.#run(call, this.#scripts.create, [this.sessionKey(id)], args);
    switch (status) {
      case "created":
        return { status, record: createdRecord(session, now), evicted: rest.map(String) };
      case "duplicate":
      case "limitReached":
        return { status };
    }
  }

  async write(write: Write, call: Call): Promise<WriteOutcome> {
    const { id, newId, payload, userId, idleMs = "", expectedVersion = "" } = write;
    if (newId === undefined && payload !== undefined && userId === undefined) {
      const reply = await this.#runOne(call, this.#oneSession.save, id, [expectedVersion, idleMs, payload]);
      return outcomeOf(write, reply);
    }
    const ids = newId === undefined ? [id] : [id, newId];
    const keys = ids.map((each) => this.sessionKey(each));
    return outcomeOf(write, await this.#run(call, this.#scripts.write, keys, writeArgs(write)));
  }

  async touch({ id, idleMs, shorten }: Touch, call: Call): Promise<boolean> {
    const { status } = await this.#runOne(call, this.#oneSession.touch, id, [idleMs, shorten ? "shorten" : ""]);
    switch (status) {
      case "touched":
        return true;
      case "missing":
        return false;
      case "corrupt":
        throw corrupt(id);
    }
  }

  async destroy(id: string, call: Call): Promise<EndedSession | undefined> {
    const { status, rest } = await this.#runOne(call, this.#oneSession.end, id, []);
    switch (status) {
      case "ended":
        return { id, userId: String(rest[0]) || undefined };
      case "missing":
        return undefined;
      case "corrupt":
        throw corrupt(id);
    }
  }

  async listByUser(userId: string, call: Call): Promise<readonly Read[]> {
    const { now, rest } = await this.#run(call, this.#scripts.list, [this.userKey(userId)], [userId]);
    const listed: Read[] = [];
    for (let n = 0; n < rest.length; n += 2) listed.push(tryReadRecord(String(rest[n]), asBuffer(rest[n + 1]), now));
    return listed.sort(oldestFirst);
  }

  async destroyByUser(userId: string, except: string | undefined, call: Call): Promise<string[]> {
    const { rest } = await this.#run(call, this.#scripts.endByUser, [this.userKey(userId)], [userId, except ?? ""]);
    return rest.map(String);
  }

  async count(call: Call): Promise<SessionCounts> {
    const { sessionPrefix, pattern } = this.keys;
    const own = Buffer.from(sessionPrefix);
    const aliases = Buffer.from(sessionPrefix + aliasPrefix);
    const counts = { sessions: 0, sessionsWithUser: 0, users: 0 };
    await walkAll(this.connection, call, pattern, async (keys) => {
      const indexes = keys.filter((key) => !startsWith(key, own));
      counts.sessions += keys.length - indexes.length - keys.filter((key) => startsWith(key, aliases)).length;
      const sizes = await liveSizes(this.connection, call, indexes);
      counts.sessionsWithUser += sizes.reduce((sum, size) => sum + size, 0);
      counts.users += sizes.length;
    });
    return counts;
  }

  async clear(from: unknown, call: Call): Promise<WalkPosition | undefined> {
    // The guard hands back the position of the step before.
    const position = from as WalkPosition | undefined;
    const { keys, next } = await walk(this.connection, call, this.keys.pattern, walkSize, position);
    if (keys.length > 0) await this.connection.command(call, "UNLINK", ...keys);
    if (next === undefined && this.capabilities.announces) await this.#tellCleared(call);
    return next;
  }

  protected async readAll(keys: readonly (string | Buffer)[], call: Call): Promise<(Buffer | undefined)[]> {
    if (keys.length === 0) return [];
    if (this.connection.isCluster) return Promise.all(keys.map((key) => this.readKey(key, call)));
    // MGET answers an array, with null for a missing key and for a key of another type: GET tells which.
    const values = (await this.connection.query(call, "MGET", ...keys)) as (Buffer | null)[];
    return Promise.all(keys.map((key, n) => values[n] ?? this.readKey(key, call)));
  }

  async #readMany(batch: Batch<string>, call: Call): Promise<ReadonlyMap<string, Read>> {
    await this.connection.whenReady(call);
    const ids = batch.take();
    if (ids.length === 0) return new Map();
    const keys = ids.map((id) => this.sessionKey(id));
    const reading = this.readAll(keys, call);
    const [values] = await Promise.all([reading, this.connection.clockKnown(call)]);
    const now = this.connection.clock.earliest();
    const found = new Map<string, Read>();
    for (const [n, id] of ids.entries()) {
      const value = values[n];
      if (value !== undefined) found.set(id, tryReadRecord(id, value, now));
    }
    return found;
  }

  async #tellCleared(call: Call): Promise<void> {
    for (const text of encodeBusMessage({ kind: "cleared" })) {
      await this.connection.command(call, "PUBLISH", this.keys.channel, text);
    }
  }

  #run<Status extends string>(
    call: Call,
    script: Script<Status>,
    keys: string[],
    args: (string | number)[],
  ): Promise<ScriptReply<Status>> {
    const { sessionPrefix, userPrefix } = this.keys;
    return this.connection.script(call, script, keys, [sessionPrefix, userPrefix, ...args]);
  }

  #runOne<Status extends string>(
    call: Call,
    script: Script<Status>,
    id: string,
    args: (string | number)[],
  ): Promise<ScriptReply<Status>> {
    return this.connection.script(call, script, [this.sessionKey(id)], [this.keys.userPrefix, id, ...args]);
  }
}

/** As the scripts take it: 0 for none. */
function limitArgs(limit: SessionLimit | undefined): [max: number, whenReached: string] {
  return [limit?.max ?? 0, limit?.whenReached ?? ""];
}

function writeArgs(write: Write): (string | number)[] {
  const { id, newId = id, payload, userId, idleMs, absoluteMs, expectedVersion, limit } = write;
  return [
    ...limitArgs(limit),
    id,
    newId,
    expectedVersion ?? "",
    idleMs ?? "",
    absoluteMs ?? "",
    ...(userId === undefined ? ["keep", ""] : ["set", userId ?? ""]),
    ...(payload === undefined ? ["keep", ""] : ["set", payload]),
  ];
}

type WriteStatus = "written" | "conflict" | "missing" | "duplicate" | "limitReached" | "corrupt";

function outcomeOf({ id, newId, payload }: Write, { status, now, rest }: ScriptReply<WriteStatus>): WriteOutcome {
  const [record, ...evicted] = rest;
  switch (status) {
    case "written":
      return {
        status,
        record: readRecord(newId ?? id, asBuffer(record), now, payload),
        evicted: evicted.map(String),
      };
    case "conflict":
      return { status, current: readRecord(id, asBuffer(record), now) };
    case "missing":
    case "duplicate":
    case "limitReached":
      return { status };
    case "corrupt":
      throw corrupt(id);
  }
}
