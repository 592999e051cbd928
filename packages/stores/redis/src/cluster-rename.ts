import { type Call, changedRecord, type SessionRecord, type Write, type WriteOutcome } from "@sojourn/core/adapter";
import type { ClusterIndex, Joined } from "./cluster-index.js";
import type { ClusterMembers } from "./cluster-members.js";
import type { ClusterRecords } from "./cluster-records.js";
import { detachedCall } from "./detached-call.js";
import { joinForMs, type MemberOf, memberOf, noMembership, nonce } from "./member.js";
import { corrupt, readRecord, tooLate } from "./record.js";
import { asBuffer, type ScriptReply } from "./reply.js";
import { end } from "./scripts/cluster-record.js";
import * as steps from "./scripts/cluster-rename.js";

/** How long a rename keeps others from writing to its session. Later their writes win, and the rename is given up. */
const claimForMs = 10_000;

type Rename = Write & { readonly newId: string };

/** A rename that has claimed its session. */
interface Claimed {
  readonly claim: string;
  readonly old: SessionRecord;
  readonly renamed: SessionRecord;
  readonly before: MemberOf;
  readonly now: number;
}

/**
 * Gives a session a new id on a Cluster, where both ids lie on different nodes.
 *
 * Claims the session, joins the index, and stores the session under the new id as an arrival, which no reader sees. Then one
 * atomic step ends it under the old id and so makes the arrival the session. A process that dies before that step leaves the
 * session under its old id alone; after that step, under its new id alone.
 */
export class ClusterRename {
  readonly #records: ClusterRecords;
  readonly #index: ClusterIndex;
  readonly #members: ClusterMembers;

  constructor(records: ClusterRecords, index: ClusterIndex, members: ClusterMembers) {
    this.#records = records;
    this.#index = index;
    this.#members = members;
  }

  async rename(write: Rename, call: Call): Promise<WriteOutcome> {
    const { id, expectedVersion } = write;
    const claim = nonce();
    const { status, now, rest } = await this.#records.run(call, steps.claim, id, [
      expectedVersion ?? "",
      claim,
      claimForMs,
    ]);
    switch (status) {
      case "missing":
        return { status };
      case "conflict":
        return { status, current: readRecord(id, asBuffer(rest[0]), now) };
      case "corrupt":
        throw corrupt(id);
      case "claimed":
        try {
          const stored = asBuffer(rest[0]);
          const old = readRecord(id, stored, now);
          const renamed = changedRecord(old, write);
          return await this.#renameClaimed(write, call, { claim, old, renamed, before: memberOf(id, stored), now });
        } catch (error) {
          // Otherwise no call can write to the session until the claim has run out.
          this.#unclaim(detachedCall("unclaim"), id, claim).catch(() => {});
          throw error;
        }
    }
  }

  async #renameClaimed(write: Rename, call: Call, claimed: Claimed): Promise<WriteOutcome> {
    const { id, newId, limit } = write;
    const { claim, old, renamed, before } = claimed;
    if (newId === id) {
      await this.#unclaim(call, id, claim);
      return { status: "duplicate" };
    }
    const { userId, createdAt, expiresAt: expires } = renamed;
    if (userId === undefined) return this.#finish(write, call, claimed, undefined);
    const joined = await this.#members.join(
      call,
      userId,
      userId === old.userId
        ? // Both members count as one session.
          { id: newId, random: before.member.random, createdAt, expires, replaces: before.member.text }
        : { id: newId, random: claim, createdAt, expires, limit },
    );
    if (joined.status === "joined") return this.#finish(write, call, claimed, joined);
    const [isTaken] = await Promise.all([this.#records.isTaken(call, newId), this.#unclaim(call, id, claim)]);
    if (joined.status === "ordered") return { status: "missing" };
    return { status: isTaken ? "duplicate" : joined.status };
  }

  async #finish(write: Rename, call: Call, claimed: Claimed, joined: Joined | undefined): Promise<WriteOutcome> {
    const { id, newId } = write;
    const { claim, old, renamed, before } = claimed;
    const membership = joined?.membership ?? noMembership(claim);
    const announced = await this.#announce(write, call, claimed, membership, joined);
    switch (announced.status) {
      case "duplicate":
        return { status: await this.#refuse(call, claimed, id, joined) };
      case "late":
        await this.#refuse(call, claimed, id, joined);
        throw tooLate("rename", joinForMs);
      // Ended or expired under its new id before it was stored there: renamed first, then ended.
      case "ended":
      case "past":
      case "stored":
        break;
    }
    const finished = await this.#records.run(call, steps.finishRename, id, [claim, old.createdAt]);
    switch (finished.status) {
      case "finished": {
        const [evicted] = await Promise.all([
          joined === undefined || renamed.userId === undefined ? [] : this.#members.evict(call, renamed.userId, joined),
          this.#records.run(call, steps.settle, newId, [claim, ""]),
          before.userId === undefined ? undefined : this.#index.remove(call, before.userId, [before.member]),
        ]);
        return { status: "written", record: renamed, evicted };
      }
      case "overtaken":
        await this.#takeBack(call, newId, membership, renamed, joined);
        throw tooLate("rename", claimForMs);
      case "missing":
      case "other":
      case "corrupt":
        await this.#takeBack(call, newId, membership, renamed, joined);
        return { status: "missing" };
    }
  }

  #announce(
    { id, newId }: Rename,
    call: Call,
    { claim, renamed, now }: Claimed,
    membership: string,
    joined: Joined | undefined,
  ): Promise<ScriptReply<(typeof steps.announce)["statuses"][number]>> {
    const { userId = "", payload, version, createdAt, lastActiveAt, expiresAt, endsAt } = renamed;
    const notAfter = joined?.notAfter ?? now + joinForMs;
    const times = [expiresAt, lastActiveAt, createdAt, endsAt];
    const args = [membership, notAfter, ...times, version, userId, payload, claim, id];
    return this.#records.run(call, steps.announce, newId, args);
  }

  /** Gives the session back whose new id is in use. Another call may have taken the new id by evicting this very session. */
  async #refuse(
    call: Call,
    { claim, before, renamed }: Claimed,
    id: string,
    joined: Joined | undefined,
  ): Promise<"missing" | "duplicate"> {
    const [unclaimed, isOrdered] = await Promise.all([
      this.#unclaim(call, id, claim),
      before.userId !== undefined && this.#index.isOrdered(call, before.userId, before.member),
      joined && renamed.userId !== undefined ? this.#index.leave(call, renamed.userId, joined) : undefined,
    ]);
    return isOrdered || unclaimed === "missing" ? "missing" : "duplicate";
  }

  /** Takes the arrival back, which no reader has seen, and its place in the index. */
  async #takeBack(
    call: Call,
    newId: string,
    membership: string,
    { userId }: SessionRecord,
    joined: Joined | undefined,
  ): Promise<void> {
    await this.#records.run(call, end, newId, [membership, joinForMs, "order"]);
    if (joined && userId !== undefined) await this.#index.leave(call, userId, joined);
  }

  async #unclaim(call: Call, id: string, claim: string): Promise<"unclaimed" | "other" | "missing" | "corrupt"> {
    return (await this.#records.run(call, steps.unclaim, id, [claim])).status;
  }
}
