import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cloneFrozenJson } from "../src/content/clone-frozen-json.js";
import { jsonCodec } from "../src/index.js";
import { setUp } from "./support.js";

/** Returns the value that the clone must equal, where there is one. */
function throughJson(value: object): unknown {
  return jsonCodec.decode(jsonCodec.encode(value, context) as string, context);
}
const context = { id: "id", userId: undefined };

class Money {
  constructor(readonly cents: number) {}
}

describe("the frozen clone of a value", () => {
  test.each([
    [{ a: undefined, b: null, c: [undefined, Symbol("s")], d: -0, e: Number.NaN, f: [Number.POSITIVE_INFINITY] }],
    [{ b: 1, 10: 2, 9: 3, nested: { y: [[]], x: {} } }],
    [Object.assign(Object.create(null), { a: 1 })],
    [{ text: "\ud800", "\udc00": "\u2028" }],
    [{ [Symbol("left out")]: 1, kept: Object.assign([1], { 2: "after a hole" }) }],
  ])("of %o equals the value that JSON writes and reads, keys in order, frozen", (value) => {
    const clone = cloneFrozenJson(value);
    expect(clone).toEqual(throughJson(value));
    expect(JSON.stringify(clone)).toBe(JSON.stringify(throughJson(value)));
    expect(allFrozen(clone)).toBe(true);
  });

  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  test.each<[string, object]>([
    ["a date", { at: new Date(0) }],
    ["an instance of a class", { price: new Money(1) }],
    ["toJSON", { a: { toJSON: () => 1 } }],
    ["toJSON of an array", { a: Object.assign([], { toJSON: () => 1 }) }],
    ["an array of another kind", { a: new (class extends Array {})() }],
    ["a bigint", { a: 1n }],
    ["a function, which may have toJSON", { a: () => {} }],
    ["a Map", { a: new Map() }],
    ["__proto__", JSON.parse('{"a":{"__proto__":{"admin":true}}}') as object],
    ["constructor", { a: [{ constructor: { prototype: {} } }] }],
    ["a key that every object inherits", { a: { toString: 1 } }],
    ["JSON.rawJSON", { a: Object.assign(Object.create(null), { rawJSON: "1" }) }],
    ["itself", cyclic],
  ])("with %s is not made, and JSON handles the value", (_name, value) => {
    expect(cloneFrozenJson(value)).toBeUndefined();
  });

  test("has an array of its first length, also when a getter shortens it", () => {
    const shrinking = (): object => {
      const list: unknown[] = [0, 1, 2];
      return { list: Object.defineProperty(list, 0, { enumerable: true, get: () => list.splice(1).length }) };
    };
    expect(cloneFrozenJson(shrinking())).toEqual(throughJson(shrinking()));
  });

  test("shares the unchanged parts of the clone that it was made from, and no equal part from elsewhere", () => {
    const base = cloneFrozenJson({ cart: [{ sku: 1 }, { sku: 2 }], user: { name: "a" }, n: 1 });
    const [first] = base?.cart ?? [];
    const foreign = Object.freeze({ at: Object.freeze({ cents: 1 }) });
    const clone = cloneFrozenJson({ ...base, cart: [first, { sku: 2 }], foreign, moved: base?.user }, base);
    expect(clone).toEqual({ cart: [{ sku: 1 }, { sku: 2 }], user: { name: "a" }, n: 1, foreign, moved: { name: "a" } });
    expect(clone?.user).toBe(base?.user);
    expect(clone?.cart?.[0]).toBe(first);
    expect(clone?.foreign).not.toBe(foreign);
    expect(clone?.moved).not.toBe(base?.user);
  });

  test("property: equals the value that JSON writes and reads, whichever clone it was made from", () => {
    const anything = fc.object({ withDate: true, withNullPrototype: true, withSparseArray: true, maxDepth: 4 });
    fc.assert(
      fc.property(anything, fc.jsonValue({ maxDepth: 3 }), (value, json) => {
        // There is no clone of a value with keys such as `toString`.
        const known = cloneFrozenJson({ json });
        const base = known?.json;
        const clone = cloneFrozenJson({ value, json: base }, known);
        if (clone === undefined) return;
        expect(JSON.stringify(clone)).toBe(JSON.stringify(throughJson({ value, json: base })));
        expect(allFrozen(clone)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("a session that was written", () => {
  test.each<[string, Record<string, unknown>]>([
    ["plain", { a: [1, { b: "c" }], u: undefined, n: -0 }],
    ["a date", { at: new Date(0), plain: 1 }],
    ["a prototype", { nested: { constructor: { prototype: { admin: true } } } }],
    ["toJSON", { a: { toJSON: (key: string) => `key ${key}` } }],
  ])("with %s shows the same data as a later read by another process", async (_name, data) => {
    const { manager, store } = setUp();
    const { token, session } = await manager.create({ data: { kept: { deep: [1] } } });
    await session.update((before) => ({ ...before, ...data }));
    const other = setUp();
    const record = await store.get(session.id);
    await other.store.create({ id: session.id, payload: record?.payload ?? "", idleMs: 1_000, absoluteMs: 1_000 });
    const read = await other.manager.byId.get(session.id);
    expect(JSON.stringify(session.data)).toBe(JSON.stringify(read?.data));
    expect(session.data).toEqual(read?.data);
    expect((await manager.get(token))?.data).toBe(session.data);
    expect(allFrozen(session.data)).toBe(true);
  });

  test("is not changed when the application changes its own objects afterwards", async () => {
    const { manager } = setUp();
    const cart = [{ sku: 1 }];
    const { token } = await manager.create({ data: { cart } });
    cart.push({ sku: 2 });
    expect((await manager.get(token))?.data).toEqual({ cart: [{ sku: 1 }] });
    expect(Object.isFrozen(cart)).toBe(false);
  });
});

function allFrozen(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return true;
  return Object.isFrozen(value) && Object.values(value).every(allFrozen);
}
