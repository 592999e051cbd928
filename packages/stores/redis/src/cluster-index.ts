import type { SessionLimit } from "@sojourn/core/adapter";
import type { Connection, ScriptReply } from "./connection.js";
import type { Keyspace } from "./keys.js";
import {
  isLeftOver,
  joinForMs,
  type Member,
  memberText,
  parseMember,
  parseScoredMembers,
  type ScoredMember,
} from "./member.js";
import { isTombstone, longestHeadBytes, readOwnership } from "./record.js";
import * as steps from "./scripts/cluster-index.js";
import * as recordSteps from "./scripts/cluster-record.js";
import type { Script } from "./scripts/script.js";

export interface Join {
  readonly id: string;
  readonly limit?: SessionLimit | undefined;
  readonly random: string;
  /** When the session was created; omitted, it is now, by the clock of the index's node. */
  readonly createdAt?: number | undefined;
  /** When the session expires, or `idleMs` for one that is created now. */
  readonly expires: number;
  /** The member of the same session under its old id. */
  readonly replaces?: string | undefined;
}

export interface Joined {
  readonly status: "joined";
  readonly text: string;
  readonly membership: string;
  readonly createdAt: number;
  /** The last moment at which the record may be written, so that whoever ordered it dead can rely on its tombstone. */
  readonly notAfter: number;
  /** Ordered dead to make room, oldest first. */
  readonly victims: readonly Member[];
}

export type JoinResult =
  | Joined
  /** `duplicate`: one of the sessions that take the places has this very id. */
  | { readonly status: "limitReached" | "duplicate" }
  /** What it replaces has been ordered dead. */
  | { readonly status: "ended" };

export interface Killed {
  /** Whose sessions this call ended. */
  readonly ended: readonly Member[];
  /** Who have no session any more: the index can forget them. */
  readonly gone: readonly Member[];
  /** Whose records cannot be read, and stay. So do these in the index, as ordered: lists report them. */
  readonly corrupt: readonly Member[];
}

/** The indexes of users on a Cluster, and what it takes to keep them true although records lie on other nodes. */
export class ClusterIndex {
  readonly #connection: Connection;
  readonly #keys: Keyspace;

  constructor(connection: Connection, keys: Keyspace) {
    this.#connection = connection;
    this.#keys = keys;
  }

  /** Adds a session to the index before its record is written. */
  async join(operation: string, userId: string, join: Join): Promise<JoinResult> {
    const { id, limit, random, createdAt, expires, replaces = "" } = join;
    const args = [limit?.max ?? 0, limit?.whenReached ?? "", id, random, createdAt ?? "", expires, replaces];
    for (;;) {
      const { status, now, rest } = await this.#run(operation, steps.join, userId, args);
      if (status === "ended") return { status };
      if (status === "full") {
        const counted = rest.map((text) => ({ ...parseMember(String(text)), score: Number.MAX_SAFE_INTEGER }));
        const { removed } = await this.examine(operation, userId, counted, now, (key) => this.#head(operation, key));
        if (removed > 0) continue;
        return { status: counted.some((member) => member.id === id) ? "duplicate" : "limitReached" };
      }
      const [membership = "", count, ...others] = rest.map(String);
      const victims = others.slice(0, Number(count)).map(parseMember);
      const leftOver = parseScoredMembers(others.slice(Number(count)));
      if (leftOver.length > 0) {
        // Not waited for: left-overs are invisible, and what fails is found again.
        this.examine(operation, userId, leftOver, now, (key) => this.#head(operation, key)).catch(() => {});
      }
      const created = createdAt ?? now;
      const text = memberText(created, membership, id);
      return { status: "joined", text, membership, createdAt: created, notAfter: now + joinForMs, victims };
    }
  }

  /** Takes back a join, and what it ordered dead. */
  async leave(operation: string, userId: string, { text, victims }: Joined): Promise<void> {
    await this.#run(operation, steps.leave, userId, [text, ...victims.map((victim) => victim.text)]);
  }

  /** Ends the sessions that a join has ordered dead. */
  async evict(operation: string, userId: string, victims: readonly Member[]): Promise<void> {
    const { gone } = await this.kill(operation, victims);
    // Not waited for: what was ordered dead is invisible, and found again if it stays.
    this.remove(operation, userId, gone).catch(() => {});
  }

  /** Ends sessions that have been ordered dead, and denies those that have yet to be written. */
  async kill(operation: string, members: readonly Member[]): Promise<Killed> {
    const results = await Promise.all(
      members.map(({ id, membership }) =>
        this.#connection.script(operation, recordSteps.kill, [this.#session(id)], [membership, joinForMs]),
      ),
    );
    return {
      ended: members.filter((_, n) => results[n]?.status === "killed"),
      gone: members.filter((_, n) => results[n]?.status !== "corrupt"),
      corrupt: members.filter((_, n) => results[n]?.status === "corrupt"),
    };
  }

  async remove(operation: string, userId: string, members: readonly Pick<Member, "text">[]): Promise<void> {
    if (members.length === 0) return;
    const texts = members.map(({ text }) => text);
    await this.#connection.command({ operation, writes: true }, "ZREM", this.#index(userId), ...texts);
  }

  /** Orders all sessions of the user dead but one. From then on no rename and no list lets them live. */
  async orderDead(operation: string, userId: string, except = ""): Promise<Member[]> {
    const { rest } = await this.#run(operation, steps.orderDead, userId, [except]);
    return rest.map((text) => parseMember(String(text)));
  }

  /** Lets a session of the user live until `expires`, in the index too. */
  async raise(operation: string, userId: string, text: string, expires: number): Promise<void> {
    const { status } = await this.#run(operation, steps.raise, userId, [text, expires, ""]);
    if (status !== "absent") return;
    // The index has been lost, or the session has ended meanwhile. Added first and looked at afterwards, it is listed
    // whenever it is alive.
    await this.#run(operation, steps.raise, userId, [text, expires, "add"]);
    const member = parseMember(text);
    const head = await this.#head(operation, this.#session(member.id));
    if (readOwnership(head ?? Buffer.alloc(0))?.membership !== member.membership) {
      await this.remove(operation, userId, [member]);
    }
  }

  /** Whether a member has been ordered dead, or is none any more. */
  async isOrderedDead(operation: string, userId: string, { text }: Pick<Member, "text">): Promise<boolean> {
    const score = await this.#connection.command({ operation }, "ZSCORE", this.#index(userId), text);
    return score === null || Number(String(score)) < 0;
  }

  /** All members, and when that was. */
  async members(operation: string, userId: string): Promise<{ now: number; members: ScoredMember[] }> {
    const { now, rest } = await this.#run(operation, steps.members, userId, []);
    return { now, members: parseScoredMembers(rest.map(String)) };
  }

  /**
   * Holds members against their records, and repairs what a process left behind that died half-way: finishes what was
   * ordered dead, removes members that never got a record, raises scores that lag behind.
   *
   * @returns the records that belong to their members, unreadable ones included; how many members had none although
   * nobody has ordered them dead; how many members were removed
   */
  async examine(
    operation: string,
    userId: string,
    members: readonly ScoredMember[],
    now: number,
    read: (key: string) => Promise<Buffer | undefined>,
  ): Promise<{ owned: [id: string, value: Buffer][]; missing: number; removed: number }> {
    const living = members.filter(({ score }) => score > 0);
    const ordered = members.filter(({ score }) => score < 0);
    const readAll = (of: readonly Member[]) => Promise.all(of.map(({ id }) => read(this.#session(id))));
    const [values, killed] = await Promise.all([readAll(living), this.kill(operation, ordered)]);
    const owned: [id: string, value: Buffer][] = [];
    const repairs: Promise<void>[] = [];
    const gone: Member[] = [...killed.gone];
    for (const [n, member] of living.entries()) {
      const value = values[n];
      const isRecord = value !== undefined && !isTombstone(value);
      const ownership = isRecord ? readOwnership(value) : undefined;
      if (isRecord && (ownership === undefined || ownership.membership === member.membership)) {
        owned.push([member.id, value]);
        if (ownership && ownership.expiresAt > member.score) {
          repairs.push(this.raise(operation, userId, member.text, ownership.expiresAt));
        }
      } else if (isLeftOver(member, now) || (!isRecord && member.score < now)) gone.push(member);
    }
    const missing = living.length - owned.length;
    const [unreadable] = await Promise.all([readAll(killed.corrupt), this.remove(operation, userId, gone), ...repairs]);
    for (const [n, { id }] of killed.corrupt.entries()) {
      const value = unreadable[n];
      if (value !== undefined && !isTombstone(value) && readOwnership(value) === undefined) owned.push([id, value]);
    }
    return { owned, missing, removed: gone.length };
  }

  #run(operation: string, step: Script, userId: string, args: (string | number)[]): Promise<ScriptReply> {
    return this.#connection.script(operation, step, [this.#index(userId)], args);
  }

  /** What a record says of itself, without its payload. */
  #head(operation: string, key: string): Promise<Buffer | undefined> {
    return this.#connection.peek(operation, key, longestHeadBytes);
  }

  #session(id: string): string {
    return this.#keys.sessionPrefix + id;
  }

  #index(userId: string): string {
    return this.#keys.userPrefix + userId;
  }
}
