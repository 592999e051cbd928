import type { Call, SessionLimit } from "@sojourn/core/adapter";
import type { Connection } from "./connection.js";
import { isWrongType } from "./errors.js";
import type { Keyspace } from "./keys.js";
import { joinForMs, type Member, memberText, parseMember, parseScoredMembers, type ScoredMember } from "./member.js";
import type { ScriptReply } from "./reply.js";
import * as steps from "./scripts/cluster-index.js";
import type { Script } from "./scripts/script.js";

export interface Join {
  readonly id: string;
  readonly limit?: SessionLimit | undefined;
  /** The random part of the membership. A rename keeps the random part: both members count as one session. */
  readonly random: string;
  /** When the session was created. Omitted, it is created now, by the clock of the index's node. */
  readonly createdAt?: number | undefined;
  /** How old a session already is that is created now. */
  readonly ageMs?: number | undefined;
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
  /** When it joined, by the clock of the index's node. */
  readonly now: number;
  /** The last moment at which the record may be written, so that a process that ordered it dead can rely on its tombstone. */
  readonly notAfter: number;
  /** Ordered dead to make room, oldest first. */
  readonly victims: readonly Member[];
  /** Members that may be left over from a process that died. */
  readonly leftOver: readonly ScoredMember[];
}

export type JoinAttempt =
  | Joined
  /** The sessions that take the places. */
  | { readonly status: "full"; readonly now: number; readonly members: readonly ScoredMember[] }
  /** The member that it replaces has been ordered dead. */
  | { readonly status: "ordered" };

/** The indexes of users on a Cluster, each on the node that holds its slot. */
export class ClusterIndex {
  readonly #connection: Connection;
  readonly #prefix: string;

  constructor(connection: Connection, { userPrefix }: Keyspace) {
    this.#connection = connection;
    this.#prefix = userPrefix;
  }

  /** Adds a session to the index before its record is written. */
  async join(call: Call, userId: string, join: Join): Promise<JoinAttempt> {
    const { id, limit, random, createdAt, ageMs = 0, expires, replaces = "" } = join;
    const args = [limit?.max ?? 0, limit?.whenReached ?? "", id, random, createdAt ?? "", expires, replaces, ageMs];
    const { status, now, rest } = await this.#run(call, steps.join, userId, args);
    switch (status) {
      case "ordered":
        return { status };
      case "full": {
        const members = rest.map((text) => ({ ...parseMember(String(text)), score: Number.MAX_SAFE_INTEGER }));
        return { status, now, members };
      }
      case "joined": {
        const [membership = "", count, ...others] = rest.map(String);
        const victims = others.slice(0, Number(count)).map(parseMember);
        const leftOver = parseScoredMembers(others.slice(Number(count)));
        const created = createdAt ?? Math.max(now - ageMs, 0);
        const text = memberText(created, membership, id);
        return { status, text, membership, createdAt: created, now, notAfter: now + joinForMs, victims, leftOver };
      }
    }
  }

  /** Takes back a join, and the orders that it gave. */
  async leave(call: Call, userId: string, { text, victims }: Joined): Promise<void> {
    await this.#run(call, steps.leave, userId, [text, ...victims.map((victim) => victim.text)]);
  }

  /** Orders all sessions of the user dead but one. From then on no rename and no list lets them live. */
  async order(call: Call, userId: string, except = ""): Promise<Member[]> {
    const { rest } = await this.#run(call, steps.order, userId, [except]);
    return rest.map((text) => parseMember(String(text)));
  }

  /** Returns all members, and the time of the answer. */
  async list(call: Call, userId: string): Promise<{ readonly now: number; readonly members: ScoredMember[] }> {
    const { now, rest } = await this.#run(call, steps.list, userId, []);
    return { now, members: parseScoredMembers(rest.map(String)) };
  }

  /** Lets a member live until `expires` at least. */
  async raise(call: Call, userId: string, text: string, expires: number): Promise<"raised" | "ordered" | "absent"> {
    return (await this.#run(call, steps.raise, userId, [text, expires, ""])).status;
  }

  /** As {@link ClusterIndex.raise}, and adds a member that is absent. */
  async add(call: Call, userId: string, text: string, expires: number): Promise<void> {
    await this.#run(call, steps.raise, userId, [text, expires, "add"]);
  }

  /** Whether a member has been ordered dead, or is none any more. */
  async isOrdered(call: Call, userId: string, { text }: Pick<Member, "text">): Promise<boolean> {
    const score = await this.#connection.query(call, "ZSCORE", this.#prefix + userId, text);
    return score === null || Number(String(score)) < 0;
  }

  async remove(call: Call, userId: string, members: readonly Pick<Member, "text">[]): Promise<void> {
    if (members.length === 0) return;
    const texts = members.map(({ text }) => text);
    try {
      await this.#connection.command(call, "ZREM", this.#prefix + userId, ...texts);
    } catch (error) {
      // A key of another type has no members, and the sessions have ended.
      if (!isWrongType(error)) throw error;
    }
  }

  #run<Status extends string>(
    call: Call,
    step: Script<Status>,
    userId: string,
    args: readonly (string | number)[],
  ): Promise<ScriptReply<Status>> {
    return this.#connection.script(call, step, [this.#prefix + userId], args);
  }
}
