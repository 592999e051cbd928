/** Freezes a tree of JSON values in place. */
export function deepFreeze<T>(value: T): T {
  // No recursion: a payload may nest deeper than the stack reaches.
  const left: unknown[] = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== "object" || next === null || Object.isFrozen(next)) continue;
    for (const child of Object.values(Object.freeze(next))) {
      if (typeof child === "object") left.push(child);
    }
  }
  return value;
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

/** Named, so that a branded one (`string & { brand }`) is not taken for an object. */
type Primitive = string | number | bigint | boolean | symbol | null | undefined;
