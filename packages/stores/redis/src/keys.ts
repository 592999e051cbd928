/**
 * Where a namespace keeps what: `<prefix>#s:<id>` a session, `<prefix>#u:<user id>` the index of a user's sessions;
 * `<prefix>#b` is the channel of the bus.
 *
 * `#` in a prefix is doubled. So `#s` ends a prefix and occurs in none, and no namespace's keys begin with another's
 * prefix, whatever the prefixes, ids and user ids are.
 */
export interface Keyspace {
  readonly sessionPrefix: string;
  readonly userPrefix: string;
  readonly channel: string;
  /** The globs that match all keys of the namespace, or those of one kind, and none of another namespace. */
  readonly pattern: string;
  readonly sessionPattern: string;
  readonly userPattern: string;
}

export function keyspace(prefix: string): Keyspace {
  const own = prefix.replaceAll("#", "##");
  const glob = escapeGlob(own);
  return {
    sessionPrefix: `${own}#s:`,
    userPrefix: `${own}#u:`,
    channel: `${own}#b`,
    pattern: `${glob}#[su]:*`,
    sessionPattern: `${glob}#s:*`,
    userPattern: `${glob}#u:*`,
  };
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, "\\$&");
}
