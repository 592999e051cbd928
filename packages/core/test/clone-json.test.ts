import { expect, test } from "vitest";
import { cloneJson } from "../src/bridge/clone-json.js";
import { deepFreeze } from "../src/content/freeze.js";

class Money {
  constructor(readonly cents: number) {}
}

const nested = (depth: number): object => (depth === 0 ? { end: true } : { next: nested(depth - 1) });
const tree = {
  text: "a",
  count: 1.5,
  yes: true,
  none: null,
  list: [1, "b", null, { c: [] }],
  user: { name: "Ada", roles: ["admin"] },
};

test("a copy may be changed, and shares nothing with the frozen value", () => {
  const original = deepFreeze(structuredClone(tree));
  const copy = cloneJson(original);
  expect(copy).toEqual(tree);
  copy.user.roles.push("owner");
  copy.list.pop();
  copy.user.name = "Grace";
  expect(original).toEqual(tree);
});

test.each<[string, object]>([
  ["JSON", tree],
  ["a Date", { at: new Date(0) }],
  ["what JSON leaves out", { a: undefined, b: () => 1, c: Symbol("c"), list: [undefined, () => 1] }],
  ["numbers that JSON has not", { list: [Number.NaN, Number.POSITIVE_INFINITY], a: Number.NaN }],
  ["a hole", { list: new Array(2) }],
  ["toJSON", { a: { toJSON: () => ({ b: 1 }) } }],
  ["a class, a Map, no prototype", { a: new Money(5), b: new Map([[1, 2]]), c: Object.create(null) as object }],
  ["a key of the name __proto__", JSON.parse('{"__proto__":{"a":[1]},"constructor":{"prototype":2}}') as object],
  ["more levels than are copied one by one", nested(200)],
])("a copy equals the result of JSON for %s", (_what, value) => {
  const copy = cloneJson(value);
  expect(copy).toEqual(JSON.parse(JSON.stringify(value)));
  expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
});

test("a value that JSON refuses is refused with the same error", () => {
  expect(() => cloneJson({ a: [1n] })).toThrow(TypeError);
});
