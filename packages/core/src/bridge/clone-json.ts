/** What lies deeper is left to JSON, which has no such limit. */
const maxDepth = 50;

/**
 * A copy of what JSON has made that may be changed, in a fifth of the time that writing and reading it takes. Whatever
 * JSON would have made otherwise, as a codec's `Date`, becomes what JSON makes of it.
 */
export function cloneJson<T extends object>(value: T, depth: number = maxDepth): T {
  // Of each branch the copy has the shape of what is copied.
  if (depth === 0 || "toJSON" in value) return throughJson(value) as T;
  if (Array.isArray(value)) return Array.from(value, (entry) => copyOfEntry(entry, depth) ?? null) as unknown as T;
  if (Object.getPrototypeOf(value) !== Object.prototype) return throughJson(value) as T;
  // A spread, and not entry by entry: a key "__proto__" stays a key.
  const copy: Record<string, unknown> = { ...(value as Record<string, unknown>) };
  for (const key of Object.keys(copy)) {
    const entry = copy[key];
    if (isText(entry)) continue;
    const copied = copyOfEntry(entry, depth);
    if (copied === undefined) delete copy[key];
    else if (copied !== entry) copy[key] = copied;
  }
  return copy as T;
}

function copyOfEntry(entry: unknown, depth: number): unknown {
  if (isText(entry) || typeof entry === "boolean" || entry === null || Number.isFinite(entry)) return entry;
  return typeof entry === "object" ? cloneJson(entry, depth - 1) : throughJson(entry);
}

function isText(entry: unknown): entry is string {
  return typeof entry === "string";
}

function throughJson(value: unknown): unknown {
  const text: string | undefined = JSON.stringify(value);
  return text === undefined ? undefined : JSON.parse(text);
}
