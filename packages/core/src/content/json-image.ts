/** A tree that is deeper, or leads back to itself, is left to JSON. */
const maxDepth = 50;

/**
 * What JSON makes of a value when it is written and read again, deeply frozen, without doing either.
 *
 * @param known - what the value was made from: an image itself. Parts of it that stand where they stood are taken over.
 * @returns `undefined` where only JSON itself tells, as for a `Date` and whatever else has a prototype or `toJSON`
 */
export function jsonImage<T extends object>(value: T, known?: unknown, depth: number = maxDepth): T | undefined {
  if (value === known) return value;
  if (depth === 0 || typeof (value as { toJSON?: unknown }).toJSON === "function") return undefined;
  // Of what is copied entry by entry, and nothing else.
  return (Array.isArray(value) ? imageOfArray(value, known, depth) : imageOfObject(value, known, depth)) as
    | T
    | undefined;
}

function imageOfObject(value: object, known: unknown, depth: number): object | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  // What JSON.rawJSON makes has none, and is a text to JSON.
  if (prototype !== Object.prototype && (prototype !== null || "rawJSON" in value)) return undefined;
  const image: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    // What jsonCodec leaves out of `__proto__` and `constructor`, it shall leave out itself. Whatever else has a prototype's
    // name, such as `toString` where Object.prototype is frozen, cannot be assigned for certain.
    if (key === "__proto__" || key in Object.prototype) return undefined;
    const entry = imageOfEntry(value[key as keyof typeof value], known, key, depth);
    if (entry === unclear) return undefined;
    if (entry !== undefined) image[key] = entry;
  }
  return Object.freeze(image);
}

function imageOfArray(value: readonly unknown[], known: unknown, depth: number): unknown[] | undefined {
  if (Object.getPrototypeOf(value) !== Array.prototype) return undefined;
  const image: unknown[] = [];
  // Once, as JSON does: a getter may shorten the array.
  const { length } = value;
  for (let at = 0; at < length; at += 1) {
    const entry = imageOfEntry(value[at], known, at, depth);
    if (entry === unclear) return undefined;
    image.push(entry ?? null);
  }
  // Frozen, as all that is shared.
  return Object.freeze(image) as unknown[];
}

/** Told from `undefined`, which stands for what JSON leaves out. */
const unclear: unique symbol = Symbol("unclear");

function imageOfEntry(value: unknown, known: unknown, key: string | number, depth: number): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      // JSON knows no other numbers, and no negative zero.
      return Number.isFinite(value) ? value + 0 : null;
    case "undefined":
    case "symbol":
      return undefined;
    case "object":
      return value === null ? null : (jsonImage(value, entryOf(known, key), depth - 1) ?? unclear);
    default:
      return unclear;
  }
}

function entryOf(parent: unknown, key: string | number): unknown {
  if (typeof parent !== "object" || parent === null || !Object.hasOwn(parent, key)) return undefined;
  return parent[key as keyof typeof parent];
}
