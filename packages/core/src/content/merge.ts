import { encodeError } from "./codec.js";
import { isSameValue } from "./same-value.js";

/** The changes that one writer made to the top-level keys of a session since it loaded the session. */
export interface KeyChanges {
  readonly set: ReadonlyMap<string, unknown>;
  readonly deleted: ReadonlySet<string>;
}

/**
 * Compares two versions of a session's data key by key: {@link isSameValue}. A key whose value JSON leaves out counts as
 * absent.
 *
 * @throws SessionError `ENCODE` for a value that JSON cannot hold
 */
export function diffKeys(base: object, changed: object): KeyChanges {
  const set = new Map<string, unknown>();
  const deleted = new Set<string>();
  for (const [key, value] of Object.entries(changed)) {
    const before = own(base, key);
    // Most values are unchanged: the same object, or a short primitive.
    if (value === before || isSame(value, before)) continue;
    if (toJson(value) === undefined) deleted.add(key);
    else set.set(key, value);
  }
  for (const [key, value] of Object.entries(base)) {
    if (!Object.hasOwn(changed, key) && toJson(value) !== undefined) deleted.add(key);
  }
  return { set, deleted };
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key as keyof typeof object] : undefined;
}

export function isUnchanged({ set, deleted }: KeyChanges): boolean {
  return set.size === 0 && deleted.size === 0;
}

/**
 * Applies the changes of one writer to the data stored meanwhile: the three-way merge.
 *
 * It works on whole top-level keys. If both writers changed one key, these changes win; counters and lists that several
 * requests add to belong in `update(fn)`.
 */
export function applyKeys(stored: object, { set, deleted }: KeyChanges): object {
  const kept = Object.entries(stored).filter(([key]) => !deleted.has(key));
  return Object.fromEntries([...kept, ...set]);
}

function isSame(value: unknown, other: unknown): boolean {
  try {
    return isSameValue(value, other);
  } catch (cause) {
    throw encodeError(cause);
  }
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    throw encodeError(cause);
  }
}
