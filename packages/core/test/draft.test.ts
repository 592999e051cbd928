import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Draft } from "../src/bridge/draft.js";
import { deepFreeze } from "../src/content/freeze.js";

type Values = Record<string, unknown>;
interface Shop {
  cart?: string[] | undefined;
  user?: { name: string; roles: string[] } | undefined;
  views?: number | undefined;
}

function open(stored: Values): { draft: Draft; data: Shop; stored: Values } {
  const base = deepFreeze(structuredClone(stored));
  const draft = new Draft(base);
  return { draft, data: draft.data as Shop, stored: base };
}

/** Saves a draft as a request does, and returns the data then stored. */
function save(draft: Draft, stored: object): object {
  const snapshot = draft.snapshot();
  const saved = draft.applyTo(stored, snapshot);
  draft.saved(snapshot);
  return JSON.parse(JSON.stringify(saved));
}

describe("values of a draft", () => {
  test("change in place: the first, the second and the third time, in one request and across requests", () => {
    let stored: object = {};
    for (const visits of [1, 2, 3]) {
      const draft = new Draft(deepFreeze(stored));
      const data = draft.data as Shop;
      for (const _push of [1, 2, 3]) {
        // biome-ignore lint/suspicious/noAssignInExpressions: the idiom that must work
        (data.cart ??= []).push("book");
        expect(draft.isChanged).toBe(true);
        stored = save(draft, stored);
        expect(draft.isChanged).toBe(false);
      }
      expect(stored).toEqual({ cart: new Array(visits * 3).fill("book") });
    }
  });

  test("are copies: the stored data stays as it was", () => {
    const { data, draft, stored } = open({ user: { name: "Ann", roles: ["admin"] }, cart: [] });
    data.user?.roles.push("owner");
    expect(draft.applyTo(stored, draft.snapshot())).toEqual({
      user: { name: "Ann", roles: ["admin", "owner"] },
      cart: [],
    });
    expect(stored).toEqual({ user: { name: "Ann", roles: ["admin"] }, cart: [] });
  });

  test("that are the same again are no change, and stay the stored objects", () => {
    const { data, draft, stored } = open({ cart: ["book"], user: { name: "Ann", roles: [] } });
    data.cart?.push("pen");
    expect(draft.isChanged).toBe(true);
    data.cart?.pop();
    data.user = { name: "Ann", roles: [] };
    expect([draft.isChanged, draft.applyTo(stored, draft.snapshot()) === stored]).toEqual([false, true]);
  });

  test("are copied when their key is first read: keys, primitives and stored.data copy nothing", () => {
    const cart = new Proxy(Object.freeze(["book"]), { ownKeys: unread, get: unread, getOwnPropertyDescriptor: unread });
    const draft = new Draft({ cart, views: 1 });
    const data = draft.data as Shop;
    expect([data.views, "cart" in data, Object.keys(data), draft.isChanged]).toEqual([
      1,
      true,
      ["cart", "views"],
      false,
    ]);
    expect(() => data.cart).toThrow("was read");
  });

  test("keep their identity, also after a save", () => {
    const { data, draft, stored } = open({ cart: ["book"] });
    const { cart } = data;
    const user = { name: "Ann", roles: [] as string[] };
    data.user = user;
    const saved = save(draft, stored);
    expect([data.cart === cart, data.user === user, draft.data === data]).toEqual([true, true, true]);
    cart?.push("pen");
    user.roles.push("admin");
    expect(save(draft, saved)).toEqual({ cart: ["book", "pen"], user: { name: "Ann", roles: ["admin"] } });
  });

  test("may come from the stored data itself", () => {
    const { data, draft, stored } = open({ cart: ["book"] });
    data.cart = (stored as Shop).cart;
    expect(draft.isChanged).toBe(false);
    draft.rebase(deepFreeze({ cart: ["book"] }), draft.snapshot());
    data.cart?.push("pen");
    expect(data.cart).toEqual(["book", "pen"]);
  });

  test("that were read before a reload are detached", () => {
    const { data, draft } = open({ cart: ["book"] });
    const { cart } = data;
    draft.reset(deepFreeze({ cart: ["book"] }));
    cart?.push("lost");
    expect([data.cart, draft.isChanged]).toEqual([["book"], false]);
    data.cart?.push("kept");
    expect(draft.isChanged).toBe(true);
  });

  test("changed while they are being saved are changed after it, also when another request wrote", () => {
    const { data, draft } = open({ cart: ["book"], views: 1 });
    const { cart } = data;
    cart?.push("pen");
    const snapshot = draft.snapshot();
    cart?.push("ink");
    draft.rebase(deepFreeze({ cart: ["book", "pen"], views: 2 }), snapshot);
    expect([data, data.cart === cart, draft.isChanged]).toEqual([
      { cart: ["book", "pen", "ink"], views: 2 },
      true,
      true,
    ]);
  });

  test.each([
    ["a Date", new Date(0), (value: unknown) => (value as Date).setTime(1)],
    ["a Map", new Map([["a", [1]]]), (value: unknown) => (value as Map<string, number[]>).get("a")?.push(2)],
    ["a Set", new Set([1]), (value: unknown) => (value as Set<number>).add(2)],
  ])("of a codec stay of their kind: %s", (_kind, original, change) => {
    const draft = new Draft(deepFreeze({ list: [structuredClone(original)] }));
    const data = draft.data as { list: unknown[]; own: unknown };
    expect(data.list).toEqual([original]);
    data.own = structuredClone(original);
    change(data.own);
    change(data.list[0]);
    const snapshot = draft.snapshot() as typeof data;
    expect([snapshot.list[0], snapshot.own]).toEqual([data.list[0], data.own]);
    expect([snapshot.list[0] instanceof original.constructor, snapshot.own === data.own]).toEqual([true, false]);
    expect(draft.base).toEqual({ list: [original] });
  });

  test("that are instances of a class are copied as JSON, unless a codec has frozen them", () => {
    class Money {
      constructor(public cents: number) {}
    }
    const stored = deepFreeze(new Money(5));
    const draft = new Draft({ list: [stored] });
    const data = draft.data as { list: Money[] };
    data.list.push(new Money(7));
    expect(draft.snapshot()).toStrictEqual({ list: [stored, { cents: 7 }] });
  });
});

describe("the data of a draft", () => {
  test("is a plain object to JSON, spread, keys, in, delete and assert", () => {
    const { data } = open({ cart: ["book"], views: 1 });
    expect(JSON.stringify(data)).toBe('{"cart":["book"],"views":1}');
    expect({ ...data }).toStrictEqual({ cart: ["book"], views: 1 });
    expect([Object.entries(data), "cart" in data, delete data.cart, "cart" in data, delete data.cart]).toEqual([
      [
        ["cart", ["book"]],
        ["views", 1],
      ],
      true,
      true,
      false,
      true,
    ]);
    const heir = Object.create(data) as Shop;
    heir.views = 5;
    expect([data.views, Object.hasOwn(heir, "views")]).toEqual([1, true]);
  });

  test("prints as a plain object", () => {
    const { data } = open({ user: { name: "Ann", roles: [] }, views: 1 });
    expect(inspect(data)).toBe("{ user: { name: 'Ann', roles: [] }, views: 1 }");
  });

  test("cannot be cloned by structuredClone; its spread can", () => {
    const { data } = open({ cart: ["book"] });
    expect(() => structuredClone(data)).toThrow(/could not be cloned/);
    expect(structuredClone({ ...data })).toEqual({ cart: ["book"] });
  });

  test("refuses what would make a key other than plain data", () => {
    const { data } = open({ views: 1 });
    expect(() => Object.freeze(data)).toThrow("cannot be frozen or sealed");
    expect(() => Object.defineProperty(data, "cart", { get: () => [] })).toThrow("assign the value");
    expect(() => Object.defineProperty(data, "cart", { value: [] })).toThrow("assign the value");
    expect(() => Object.setPrototypeOf(data, { isAdmin: true })).toThrow("inherits nothing");
    Object.defineProperty(data, "views", { value: 2 });
    expect(data).toEqual({ views: 2 });
  });

  test("that may not change says why, and reads as before", () => {
    const { data, draft } = open({ cart: ["book"] });
    draft.refuseChanges("the session has ended");
    for (const change of [
      () => Object.assign(data, { views: 1 }),
      () => delete data.cart,
      () => Object.assign(data, { cart: [] }),
    ]) {
      expect(change).toThrow(new TypeError("the session has ended"));
    }
    expect(() => data.cart?.push("pen")).toThrow(TypeError);
    expect(data).toEqual({ cart: ["book"] });
  });

  test("that JSON cannot hold counts as changed, and cycles are no endless loop", () => {
    const { data, draft } = open({ views: 1 });
    const values = data as Values;
    values.list = [values];
    expect(draft.isChanged).toBe(true);
    expect(() => draft.snapshot()).toThrow(expect.objectContaining({ code: "ENCODE" }));
  });
});

/** One step of a request: what it does with its data, or what happens to the draft around it. */
const key = fc.constantFrom("a", "b", "c", "__proto__", "constructor");
const step = fc.oneof(
  fc.record({ kind: fc.constant("assign"), key, value: fc.jsonValue({ maxDepth: 2 }) }),
  fc.record({ kind: fc.constantFrom("change", "delete", "read", "save", "rebase", "reload"), key, value: fc.nat(3) }),
);

test("a draft behaves as a plain object, and a save stores what the object holds", () => {
  fc.assert(
    fc.property(
      fc.dictionary(key, fc.jsonValue({ maxDepth: 2 })),
      fc.array(step, { maxLength: 12 }),
      (initial, steps) => {
        let stored = parsed(initial);
        let model = parsed(stored);
        const draft = new Draft(deepFreeze(parsed(stored)));
        const { data } = draft;
        for (const { kind, key, value } of steps) {
          switch (kind) {
            case "assign":
              data[key] = structuredClone(value);
              define(model, key, value);
              break;
            case "change":
              changeInPlace(data[key], value);
              changeInPlace(own(model, key), value);
              break;
            case "delete":
              delete data[key];
              delete model[key];
              break;
            case "read":
              expect(JSON.stringify(data[key])).toBe(JSON.stringify(own(model, key)));
              break;
            case "save":
              stored = parsed(draft.applyTo(stored, draft.snapshot()) as Values);
              draft.saved(draft.snapshot());
              break;
            case "rebase": {
              const snapshot = draft.snapshot();
              stored = parsed(draft.applyTo(stored, snapshot) as Values);
              draft.rebase(deepFreeze(parsed(stored)), snapshot);
              break;
            }
            default:
              draft.reset(deepFreeze(parsed(stored)));
              model = parsed(stored);
          }
          const isUnchanged = canonical(model) === canonical(stored);
          expect(draft.isChanged).toBe(!isUnchanged);
        }
        expect(canonical(data)).toBe(canonical(model));
        expect(canonical(draft.applyTo(stored, draft.snapshot()))).toBe(canonical(model));
      },
    ),
    { numRuns: 300 },
  );
});

function changeInPlace(value: unknown, by: number): void {
  if (Array.isArray(value)) {
    if (by === 0) value.pop();
    else value.push(by);
  } else if (typeof value === "object" && value !== null) define(value, `k${by}`, by);
}

function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, {
    value: structuredClone(value),
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

function own(object: Values, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function parsed(value: object): Values {
  return JSON.parse(JSON.stringify(value)) as Values;
}

/** The order of top-level keys means nothing. */
function canonical(value: object): string {
  return JSON.stringify(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}

function unread(): never {
  throw new Error("was read");
}
