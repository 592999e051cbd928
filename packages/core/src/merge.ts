import { encodeError } from "./codec.js";

/** What one writer did to the top-level keys of a session since it loaded it. */
export interface KeyChanges {
  readonly set: ReadonlyMap<string, unknown>;
  readonly deleted: ReadonlySet<string>;
}

/**
 * Compares two versions of a session's data key by key, by their JSON: a `Date` equals its own string, and a key whose
 * value JSON leaves out counts as absent.
 *
 * @throws SessionError `ENCODE` for a value that JSON cannot hold
 */
export function diffKeys(base: object, changed: object): KeyChanges {
  const set = new Map<string, unknown>();
  const deleted = new Set<string>();
  const before = new Map<string, string>();
  for (const [key, value] of Object.entries(base)) {
    const json = toJson(value);
    if (json !== undefined) before.set(key, json);
  }
  for (const [key, value] of Object.entries(changed)) {
    const json = toJson(value);
    if (json === undefined) continue;
    if (before.get(key) !== json) set.set(key, value);
    before.delete(key);
  }
  for (const key of before.keys()) deleted.add(key);
  return { set, deleted };
}

export function isUnchanged({ set, deleted }: KeyChanges): boolean {
  return set.size === 0 && deleted.size === 0;
}

/**
 * The three-way merge: applies what one writer changed to what is stored by then.
 *
 * The merge goes by whole top-level keys. Where both wrote one key, the changes win; counters and lists that several
 * requests add to belong in `update(fn)`.
 */
export function applyKeys(stored: object, { set, deleted }: KeyChanges): object {
  const kept = Object.entries(stored).filter(([key]) => !deleted.has(key));
  return Object.fromEntries([...kept, ...set]);
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw encodeError(cause);
  }
}
