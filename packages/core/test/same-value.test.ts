import fc from "fast-check";
import { expect, test } from "vitest";
import { isSameValue } from "../src/content/same-value.js";

test("two values are the same if their JSON is", () => {
  const value = fc.anything({ withDate: true, withNullPrototype: true, maxDepth: 3, maxKeys: 3 });
  fc.assert(
    fc.property(value, value, (one, other) => {
      expect(isSameValue(one, other)).toBe(JSON.stringify(one) === JSON.stringify(other));
    }),
    { numRuns: 500 },
  );
});

test("a value is the same as its own JSON, and differs after a change at any depth", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const copy: unknown = JSON.parse(JSON.stringify(value));
      expect(isSameValue(value, copy)).toBe(true);
      expect(isSameValue({ a: [value, 1] }, { a: [copy, 2] })).toBe(false);
    }),
    { numRuns: 200 },
  );
});

const depth = (levels: number, end: unknown): unknown => (levels === 0 ? end : { next: depth(levels - 1, end) });
test.each<[string, unknown, unknown, boolean]>([
  ["a Date and its string", { at: new Date(0) }, { at: new Date(0).toISOString() }, true],
  ["two Dates", [new Date(0)], [new Date(1)], false],
  ["keys that JSON leaves out", { a: undefined, b: 1, c: () => 1 }, { b: 1 }, true],
  ["keys in another order", { a: 1, b: 2 }, { b: 2, a: 1 }, false],
  ["entries that JSON writes as null", [undefined, Number.NaN], [null, null], true],
  ["Maps of the same content", { a: new Map([[1, [2]]]) }, { a: new Map([[1, [2]]]) }, true],
  ["Maps of other content", { a: new Map([[1, [2]]]) }, { a: new Map([[1, [3]]]) }, false],
  ["what toJSON returns", { toJSON: () => ({ a: 1 }) }, { a: 1 }, true],
  ["an array and an object", [], {}, false],
  ["deep values", depth(200, 1), depth(200, 1), true],
  ["deep values that differ", depth(200, 1), depth(200, 2), false],
])("%s", (_title, one, other, expected) => {
  expect([isSameValue(one, other), isSameValue(other, one)]).toEqual([expected, expected]);
});

test("a value that JSON cannot hold is refused with its error", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  expect(() => isSameValue(cycle, { self: { self: 1 } })).toThrow(TypeError);
  expect(() => isSameValue([1n], [2n])).toThrow(TypeError);
});
