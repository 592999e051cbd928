/** Deeper values, and cycles, get no clone: `JSON.stringify` handles them. */
const maxDepth = 50;

/**
 * Returns a deeply frozen copy of a value, equal to `JSON.parse(JSON.stringify(value))`, without calling either.
 *
 * @param known - an earlier clone that `value` was made from. The copy shares each unchanged part that has the same
 * place in `known`
 * @returns `undefined` where only JSON can tell the result: for a `Date`, for any other class instance, and where there
 * is a `toJSON`
 */
export function cloneFrozenJson<T extends object>(value: T, known?: unknown, depth: number = maxDepth): T | undefined {
  if (value === known) return value;
  if (depth === 0 || typeof (value as { toJSON?: unknown }).toJSON === "function") return undefined;
  // Only plain arrays and plain objects are copied entry by entry.
  return (Array.isArray(value) ? cloneArray(value, known, depth) : cloneObject(value, known, depth)) as T | undefined;
}

function cloneObject(value: object, known: unknown, depth: number): object | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  // An object of JSON.rawJSON has no prototype, and JSON writes its text.
  if (prototype !== Object.prototype && (prototype !== null || "rawJSON" in value)) return undefined;
  const clone: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    // jsonCodec removes `__proto__` and `constructor.prototype`. Assigning another inherited name, such as `toString`,
    // fails where Object.prototype is frozen.
    if (key === "__proto__" || key in Object.prototype) return undefined;
    const entry = cloneEntry(value[key as keyof typeof value], known, key, depth);
    if (entry === unclear) return undefined;
    if (entry !== undefined) clone[key] = entry;
  }
  return Object.freeze(clone);
}

function cloneArray(value: readonly unknown[], known: unknown, depth: number): unknown[] | undefined {
  if (Object.getPrototypeOf(value) !== Array.prototype) return undefined;
  const clone: unknown[] = [];
  // Read once, as JSON does: a getter may shorten the array.
  const { length } = value;
  for (let at = 0; at < length; at += 1) {
    const entry = cloneEntry(value[at], known, at, depth);
    if (entry === unclear) return undefined;
    clone.push(entry ?? null);
  }
  // Clones are shared between readers, so they are frozen.
  return Object.freeze(clone) as unknown[];
}

/** The result for a value without a clone. `undefined` means that JSON leaves the value out. */
const unclear: unique symbol = Symbol("unclear");

function cloneEntry(value: unknown, known: unknown, key: string | number, depth: number): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      // JSON writes other numbers as null, and -0 as 0.
      return Number.isFinite(value) ? value + 0 : null;
    case "undefined":
    case "symbol":
      return undefined;
    case "object":
      return value === null ? null : (cloneFrozenJson(value, entryOf(known, key), depth - 1) ?? unclear);
    default:
      return unclear;
  }
}

function entryOf(parent: unknown, key: string | number): unknown {
  if (typeof parent !== "object" || parent === null || !Object.hasOwn(parent, key)) return undefined;
  return parent[key as keyof typeof parent];
}
