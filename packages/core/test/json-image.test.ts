import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonImage } from "../src/content/json-image.js";
import { jsonCodec } from "../src/index.js";
import { setUp } from "./support.js";

/** What the image must be, where there is one. */
function throughJson(value: object): unknown {
  return jsonCodec.decode(jsonCodec.encode(value, context) as string, context);
}
const context = { id: "id", userId: undefined };

class Money {
  constructor(readonly cents: number) {}
}

describe("the image of a value", () => {
  test.each([
    [{ a: undefined, b: null, c: [undefined, Symbol("s")], d: -0, e: Number.NaN, f: [Number.POSITIVE_INFINITY] }],
    [{ b: 1, 10: 2, 9: 3, nested: { y: [[]], x: {} } }],
    [Object.assign(Object.create(null), { a: 1 })],
    [{ text: "\ud800", "\udc00": "\u2028" }],
    [{ [Symbol("left out")]: 1, kept: Object.assign([1], { 2: "after a hole" }) }],
  ])("%o is what JSON makes of it, keys in order, frozen", (value) => {
    const image = jsonImage(value);
    expect(image).toEqual(throughJson(value));
    expect(JSON.stringify(image)).toBe(JSON.stringify(throughJson(value)));
    expect(allFrozen(image)).toBe(true);
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
  ])("with %s is left to JSON", (_name, value) => {
    expect(jsonImage(value)).toBeUndefined();
  });

  test("has an array of the length that it had, whatever its getters do to it", () => {
    const shrinking = (): object => {
      const list: unknown[] = [0, 1, 2];
      return { list: Object.defineProperty(list, 0, { enumerable: true, get: () => list.splice(1).length }) };
    };
    expect(jsonImage(shrinking())).toEqual(throughJson(shrinking()));
  });

  test("shares what stands where it stood in the image that it was made from, and nothing that merely looks alike", () => {
    const base = jsonImage({ cart: [{ sku: 1 }, { sku: 2 }], user: { name: "a" }, n: 1 });
    const [first] = base?.cart ?? [];
    const foreign = Object.freeze({ at: Object.freeze({ cents: 1 }) });
    const image = jsonImage({ ...base, cart: [first, { sku: 2 }], foreign, moved: base?.user }, base);
    expect(image).toEqual({ cart: [{ sku: 1 }, { sku: 2 }], user: { name: "a" }, n: 1, foreign, moved: { name: "a" } });
    expect(image?.user).toBe(base?.user);
    expect(image?.cart?.[0]).toBe(first);
    expect(image?.foreign).not.toBe(foreign);
    expect(image?.moved).not.toBe(base?.user);
  });

  test("property: where there is one, it is what JSON makes of the value, whatever it was made from", () => {
    const anything = fc.object({ withDate: true, withNullPrototype: true, withSparseArray: true, maxDepth: 4 });
    fc.assert(
      fc.property(anything, fc.jsonValue({ maxDepth: 3 }), (value, json) => {
        // None of a value with keys such as `toString`.
        const known = jsonImage({ json });
        const base = known?.json;
        const image = jsonImage({ value, json: base }, known);
        if (image === undefined) return;
        expect(JSON.stringify(image)).toBe(JSON.stringify(throughJson({ value, json: base })));
        expect(allFrozen(image)).toBe(true);
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
  ])("with %s shows what a later read by another process shows", async (_name, data) => {
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

  test("is not changed by what the application does to its own objects afterwards", async () => {
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
