import { randomBytes } from "node:crypto";
import { readOwnership, readRecord } from "./record.js";

/** A session in the index of its user on a Cluster. */
export interface Member {
  /** As the index holds it. */
  readonly text: string;
  readonly id: string;
  /** Names this stay of this session in this index, and no other: the record that names it is the member's. */
  readonly membership: string;
  /** When it was added, by the clock of the index's node. */
  readonly joinedAt: number;
  /** The same for both members that a session has while it is renamed. */
  readonly random: string;
}

/** A member with its score: when it expires, or a negative number once it has been ordered dead. */
export interface ScoredMember extends Member {
  readonly score: number;
}

/**
 * For how long after a join its record may still be written. Later the write is refused: a member without a record is then a
 * left-over.
 */
export const joinForMs = 30_000;
/** When a member without a record stays without one: the nodes' clocks may be half a minute apart. */
const leftOverAfterMs = 2 * joinForMs;

export function parseMember(text: string): Member {
  const [membership, random] = [text.slice(13, 38), text.slice(26, 38)];
  return { text, id: text.slice(38), membership, joinedAt: Number(text.slice(13, 26)), random };
}

/** Parses members and scores in turn, as Redis answers them. */
export function parseScoredMembers(values: readonly string[]): ScoredMember[] {
  return values.flatMap((text, n) => (n % 2 === 0 ? [{ ...parseMember(text), score: Number(values[n + 1]) }] : []));
}

export function memberText(createdAt: number, membership: string, id: string): string {
  return String(createdAt).padStart(13, "0") + membership + id;
}

export function isLeftOver({ joinedAt }: Member, now: number): boolean {
  return joinedAt + leftOverAfterMs < now;
}

/** Returns twelve characters that were never used before. */
export function nonce(): string {
  return randomBytes(9).toString("base64url");
}

/** Returns the membership of a session without a user. */
export function noMembership(random: string): string {
  return "0".repeat(13) + random;
}

/** The place of a record in the index of its user. */
export interface MemberOf {
  readonly userId: string | undefined;
  readonly member: Member;
  readonly expiresAt: number;
}

/** Returns the place that the head of a record names. */
export function memberOf(id: string, head: Buffer): MemberOf {
  const { userId, createdAt, expiresAt } = readRecord(id, head, 0);
  const membership = readOwnership(head)?.membership ?? "";
  return { userId, member: parseMember(memberText(createdAt, membership, id)), expiresAt };
}
