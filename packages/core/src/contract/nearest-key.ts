import { distance } from "fastest-levenshtein";

/** Names that other session libraries give to keys of ours. */
const namesElsewhere: ReadonlyMap<string, readonly string[]> = new Map([
  ["idleTimeout", ["ttl", "maxage", "expires", "expiration", "expiry", "timeout", "lifetime", "idletimeoutms"]],
  ["absoluteTimeout", ["maxlifetime", "absolutetimeoutms"]],
  ["sweep", ["checkperiod", "prunesessioninterval", "autoremove", "reapinterval"]],
  ["touchAfter", ["disabletouch", "touchinterval"]],
  ["maxSessions", ["max"]],
  ["userId", ["user", "uid"]],
  ["except", ["keep", "exclude"]],
  ["prefix", ["namespace", "keyprefix"]],
  ["namespace", ["prefix", "keyprefix"]],
  ["table", ["tablename"]],
  ["collection", ["collectionname"]],
  ["pool", ["conn", "conobject", "connection"]],
  ["client", ["redis", "redisclient", "memcached"]],
]);

/** Returns the message about an unknown key. @param kind - "key" or "option" */
export function unknownKey(kind: string, key: string, known: readonly string[]): string {
  return `unknown ${kind} "${key}"; ${suggestion(key, known)} ${kind}s are ${known.join(", ")}`;
}

/** Options of the manager, which other libraries give to their stores. */
const managerOptions = ["idleTimeout", "absoluteTimeout", "sweep", "touchAfter"];

function suggestion(key: string, known: readonly string[]): string {
  const nearest = nearestKey(key, known);
  if (nearest !== undefined) return `did you mean "${nearest}"? The`;
  const elsewhere = nearestKey(key, managerOptions);
  return elsewhere === undefined ? "the" : `"${elsewhere}" of the SessionManager, or of the bridge, sets this. The`;
}

/** Returns the known key that the caller probably meant, by its spelling or by its name in another library. */
function nearestKey(key: string, known: readonly string[]): string | undefined {
  const written = key.toLowerCase();
  const namesake = known.find((own) => namesElsewhere.get(own)?.includes(written));
  if (namesake !== undefined) return namesake;
  const [nearest] = known
    .map((own) => ({ own, edits: distance(written, own.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  return nearest !== undefined && nearest.edits <= Math.max(1, key.length / 3) ? nearest.own : undefined;
}
