import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyKeys, diffKeys, isUnchanged } from "../src/content/merge.js";

describe("three-way merge", () => {
  const merge = (base: object, mine: object, stored: object): object => applyKeys(stored, diffKeys(base, mine));

  test.each([
    [
      "keeps what each of two writers set",
      { a: 1 },
      { a: 1, mine: 1 },
      { a: 1, theirs: 1 },
      { a: 1, mine: 1, theirs: 1 },
    ],
    ["does not bring back what the other deleted", { a: 1, b: 1 }, { a: 1, b: 2 }, { b: 1 }, { b: 2 }],
    ["deletes what this writer deleted", { a: 1, b: 1 }, { b: 1 }, { a: 1, b: 1, c: 1 }, { b: 1, c: 1 }],
    [
      "lets the later of two writers of one key win whole",
      { a: [] },
      { a: ["mine"] },
      { a: ["theirs"] },
      { a: ["mine"] },
    ],
    ["brings back a key that this writer changed and the other deleted", { a: 1 }, { a: 2 }, {}, { a: 2 }],
    ["counts undefined in the base as absent", { a: undefined }, {}, { a: 1 }, { a: 1 }],
    ["counts undefined as deleted", { a: 1, b: 1 }, { a: undefined, b: 1 }, { a: 1, b: 1 }, { b: 1 }],
  ])("%s", (_title, base, mine, stored, expected) => {
    expect(merge(base, mine, stored)).toEqual(expected);
  });

  test("a date equals its own string: loading and saving it is no change", () => {
    const date = new Date(0);
    expect(isUnchanged(diffKeys({ at: date.toISOString() }, { at: date }))).toBe(true);
  });

  test("a key named __proto__ stays a key", () => {
    const mine = JSON.parse('{"__proto__": {"admin": true}}') as object;
    const merged = merge({}, mine, { kept: 1 });
    expect(Object.getPrototypeOf(merged)).toBe(Object.prototype);
    expect(Object.keys(merged)).toContain("__proto__");
  });

  const data = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.jsonValue());

  test("property: without another writer the result is this writer's data", () => {
    fc.assert(
      fc.property(data, data, (base, mine) => {
        expect(sorted(merge(base, mine, base))).toBe(sorted(mine));
      }),
    );
  });

  test("property: a writer who changed nothing changes nothing", () => {
    fc.assert(
      fc.property(data, data, (base, stored) => {
        expect(sorted(merge(base, structuredClone(base), stored))).toBe(sorted(stored));
      }),
    );
  });

  test("property: writers of different keys both keep theirs", () => {
    fc.assert(
      fc.property(data, fc.jsonValue(), fc.jsonValue(), (base, mine, theirs) => {
        const merged = merge(base, { ...base, mine }, { ...base, theirs });
        expect(sorted(merged)).toBe(sorted({ ...base, mine, theirs }));
      }),
    );
  });
});

/** The JSON of a value with its keys in order, so that texts compare by content. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
