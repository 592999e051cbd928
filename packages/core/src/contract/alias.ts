/**
 * The prefix of the ids of aliases: anonymous records that a manager leaves in place of an old id after a regeneration.
 * `count` leaves them out. Base64url has no colon, so no session of a token has such an id.
 */
export const aliasPrefix = "alias:";

export function isAliasId(id: string): boolean {
  return id.startsWith(aliasPrefix);
}
