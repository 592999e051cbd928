/** Deeper values, and cycles, are copied by `structuredClone`. */
const maxDepth = 50;

/**
 * Copies a value of session data, so that the copy may be changed. Plain objects and arrays are copied entry by entry, and
 * `Date`, `Map` and `Set` stay of their kind.
 *
 * Only its own class can copy any other instance. A frozen one, which comes from a codec, is shared. One that may still
 * change is replaced by its JSON.
 */
export function copyValue(value: unknown, depth: number = maxDepth): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth === 0) return structuredClone(value);
  // JSON writes the result of a `toJSON`, also for an array.
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return copyInstance(value);
  if (Array.isArray(value)) return copyArray(value, depth);
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? copyObject(value, depth) : copyInstance(value);
}

function copyArray(array: readonly unknown[], depth: number): unknown[] {
  const copy = array.slice();
  for (let at = 0; at < copy.length; at += 1) {
    const entry = copy[at];
    if (typeof entry === "object" && entry !== null) copy[at] = copyValue(entry, depth - 1);
  }
  return copy;
}

function copyObject(value: object, depth: number): object {
  // The spread keeps a key "__proto__"; assigning entry by entry would not.
  const copy: Record<string, unknown> = { ...value };
  for (const key of Object.keys(copy)) {
    const entry = copy[key];
    if (typeof entry !== "object" || entry === null) continue;
    const copied = copyValue(entry, depth - 1);
    if (key === "__proto__") Object.defineProperty(copy, key, { value: copied });
    else copy[key] = copied;
  }
  return copy;
}

function copyInstance(value: object): unknown {
  if (value instanceof Date || value instanceof Map || value instanceof Set) return structuredClone(value);
  if (Object.isFrozen(value)) return value;
  const text: string | undefined = JSON.stringify(value);
  return text === undefined ? undefined : JSON.parse(text);
}
