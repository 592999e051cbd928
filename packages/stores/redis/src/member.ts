import { randomBytes } from "node:crypto";

/** A session in the index of its user on a Cluster. */
export interface Member {
  /** As the index holds it. */
  readonly text: string;
  readonly id: string;
  /** Names this stay of this session in this index, and no other: the record that says the same is the member's. */
  readonly membership: string;
  /** When it was added, by the clock of the index's node. */
  readonly joinedAt: number;
}

/** A member with its score: when it expires, negative once it has been ordered dead. */
export interface ScoredMember extends Member {
  readonly score: number;
}

/**
 * For how long after a join its record may still be written. Later the write is refused, so a member without a record
 * is then a left-over.
 */
export const joinForMs = 30_000;
/** When a member without a record is one for good: the nodes' clocks may be half a minute apart. */
const leftOverAfterMs = 2 * joinForMs;

export function parseMember(text: string): Member {
  return { text, id: text.slice(38), membership: text.slice(13, 38), joinedAt: Number(text.slice(13, 26)) };
}

/** Members and scores in turn, as Redis answers them. */
export function parseScoredMembers(values: readonly string[]): ScoredMember[] {
  return values.flatMap((text, n) => (n % 2 === 0 ? [{ ...parseMember(text), score: Number(values[n + 1]) }] : []));
}

export function memberText(createdAt: number, membership: string, id: string): string {
  return String(createdAt).padStart(13, "0") + membership + id;
}

export function isLeftOver({ joinedAt }: Member, now: number): boolean {
  return joinedAt + leftOverAfterMs < now;
}

/** Twelve characters that nobody has used before. */
export function nonce(): string {
  return randomBytes(9).toString("base64url");
}

/** The membership of a session without a user. */
export function noMembership(random: string): string {
  return "0".repeat(13) + random;
}
