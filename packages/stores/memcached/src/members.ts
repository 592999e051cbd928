import type { Member } from "./record.js";
import type { Surveyed } from "./survey.js";

/** A place in a user's item. */
export type Place = Pick<Member, "id" | "nonce">;

export function isSame(member: Member, { id, nonce }: Place): boolean {
  return member.id === id && member.nonce === nonce;
}

export function isPresent({ status }: Surveyed): boolean {
  return status === "live" || status === "corrupt";
}

/** Returns a member free of claims and orders: those have been settled. */
export function atRest({ member }: Surveyed): Member {
  return { ...member, movingUntil: undefined, orderedBy: undefined };
}

/** Takes out the members that an arrival had ordered. */
export function withoutOrdered(members: readonly Member[], { nonce }: Place): readonly Member[] {
  return members.filter(({ orderedBy }) => orderedBy !== nonce);
}

/** Takes out an arrival, and takes its orders back. */
export function withoutClaim(members: readonly Member[], { nonce }: Place): readonly Member[] {
  return members
    .filter((member) => member.nonce !== nonce)
    .map((member) => (member.orderedBy === nonce ? { ...member, orderedBy: undefined } : member));
}

export function byAge(a: Member, b: Member): number {
  return a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
}
