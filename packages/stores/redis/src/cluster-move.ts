import { type Call, changedRecord, SessionError, type Write, type WriteOutcome } from "@sojourn/core/adapter";
import type { ClusterIndex, Joined } from "./cluster-index.js";
import type { ClusterMembers } from "./cluster-members.js";
import type { ClusterRecords } from "./cluster-records.js";
import { memberOf, nonce } from "./member.js";
import { corrupt, readRecord } from "./record.js";
import { asBuffer, type ScriptReply } from "./reply.js";
import * as steps from "./scripts/cluster-record.js";

/** An update begins again this many times when other calls move the session at the same time. */
const moveAttempts = 20;

type WriteStatus = (typeof steps.write)["statuses"][number];
type WriteReply = ScriptReply<WriteStatus>;

/** Updates on a Cluster. An update that gives the session to another user moves it between two indexes. */
export class ClusterMove {
  readonly #records: ClusterRecords;
  readonly #index: ClusterIndex;
  readonly #members: ClusterMembers;

  constructor(records: ClusterRecords, index: ClusterIndex, members: ClusterMembers) {
    this.#records = records;
    this.#index = index;
    this.#members = members;
  }

  async write(write: Write, call: Call): Promise<WriteOutcome> {
    for (let attempt = 1; attempt <= moveAttempts; attempt++) {
      const random = nonce();
      const reply = await this.#send(write, call, random);
      const outcome =
        reply.status === "moves"
          ? await this.#move(write, call, random, reply)
          : await this.#outcomeOf(write, call, reply);
      if (outcome !== undefined) return outcome;
    }
    const message = "@sojourn/redis: update: too many other calls move the session at the same time";
    throw new SessionError("UNAVAILABLE", message);
  }

  /**
   * Moves a session to another user: into the new index, then the record, then out of the old index.
   *
   * @returns `undefined` when another move or a log-out of the new user came in between
   */
  async #move(write: Write, call: Call, random: string, { now, rest }: WriteReply): Promise<WriteOutcome | undefined> {
    const { id, limit, payload } = write;
    const userId = write.userId ?? undefined;
    if (userId === undefined) throw new TypeError("a session moves to a user");
    const old = readRecord(id, asBuffer(rest[0]), now);
    const moved = changedRecord(old, write);
    const { createdAt, expiresAt: expires } = moved;
    const joined = await this.#members.join(call, userId, { id, limit, random, createdAt, expires });
    if (joined.status !== "joined") return { status: "limitReached" };
    const reply = await this.#send(write, call, random, joined);
    switch (reply.status) {
      case "written":
      // Ended on its way, by a log-out of the new user or for want of room: moved first, then ended.
      case "ended": {
        const isWritten = reply.status === "written";
        const record = isWritten ? readRecord(id, asBuffer(reply.rest[0]), reply.now, payload) : moved;
        const before = memberOf(id, asBuffer(isWritten ? reply.rest[1] : rest[0]));
        const [evicted] = await Promise.all([
          this.#members.evict(call, userId, joined),
          before.userId === undefined ? undefined : this.#index.remove(call, before.userId, [before.member]),
        ]);
        return { status: "written", record, evicted };
      }
      case "lost":
      case "moves":
      case "conflict":
      case "missing":
      case "corrupt":
        await this.#index.leave(call, userId, joined);
        return this.#outcomeOf(write, call, reply);
    }
  }

  /** Brings the index up to a write that was no move. Returns `undefined` for a move that has to begin again. */
  async #outcomeOf(write: Write, call: Call, { status, now, rest }: WriteReply): Promise<WriteOutcome | undefined> {
    const { id, payload, idleMs } = write;
    switch (status) {
      case "written": {
        const record = readRecord(id, asBuffer(rest[0]), now, payload);
        const before = memberOf(id, asBuffer(rest[1]));
        if (before.userId !== undefined && record.userId === undefined) {
          await this.#index.remove(call, before.userId, [before.member]);
        } else if (record.userId !== undefined && idleMs !== undefined) {
          await this.#members.raise(call, record.userId, before.member, record.expiresAt);
        }
        return { status, record, evicted: [] };
      }
      case "conflict":
        return { status, current: readRecord(id, asBuffer(rest[0]), now) };
      case "corrupt":
        throw corrupt(id);
      case "missing":
      case "ended":
        return { status: "missing" };
      case "lost":
      case "moves":
        return undefined;
    }
  }

  #send(write: Write, call: Call, random: string, joined?: Joined): Promise<WriteReply> {
    const { id, payload, userId, idleMs, expectedVersion } = write;
    return this.#records.run(call, steps.write, id, [
      expectedVersion ?? "",
      idleMs ?? "",
      ...(userId === undefined ? ["keep", ""] : ["set", userId ?? ""]),
      random,
      ...(payload === undefined ? ["keep", ""] : ["set", payload]),
      joined?.membership ?? "",
      joined?.notAfter ?? "",
    ]);
  }
}
