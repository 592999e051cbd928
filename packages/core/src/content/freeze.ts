/** Freezes a tree of JSON values in place. */
export function deepFreeze<T>(value: T): T {
  // No recursion: a payload may nest deeper than the stack reaches.
  const left: unknown[] = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== "object" || next === null || Object.isFrozen(next)) continue;
    if (Array.isArray(next)) for (let at = 0; at < next.length; at += 1) addObject(left, next[at]);
    else addOwnObjects(left, next);
    Object.freeze(next);
  }
  return value;
}

/**
 * Adds the object values of `parent`. `for in` on an object that is not frozen takes a fifth of the time of
 * `Object.values` on a frozen one.
 */
function addOwnObjects(left: unknown[], parent: object): void {
  for (const key in parent) if (Object.hasOwn(parent, key)) addObject(left, parent[key as keyof typeof parent]);
}

function addObject(left: unknown[], value: unknown): void {
  if (typeof value === "object" && value !== null) left.push(value);
}

/** `T` with every property read-only, at every depth. */
export type DeepReadonly<T> = T extends Primitive | ((...args: never[]) => unknown)
  ? T
  : T extends readonly (infer Item)[]
    ? number extends T["length"]
      ? readonly DeepReadonly<Item>[]
      : { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T extends object
      ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
      : T;

/** Named, so that a branded primitive (`string & { brand }`) does not count as an object. */
type Primitive = string | number | bigint | boolean | symbol | null | undefined;
