import { setTimeout as delay } from "node:timers/promises";
import { SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { describe, expect, expectTypeOf, test } from "vitest";
import { type Context, createContext, type SomeValues } from "../src/index.js";

interface Own {
  tenant: string;
  depth: number;
}

const { get, getContext, runWithContext, set, snapshot } = createContext<Own>();

describe("outside any context", () => {
  test("there are no values, and none can be set", () => {
    expect(get("requestId")).toBeUndefined();
    expect(getContext()).toBeUndefined();
    expect(set("tenant", "a")).toBe(false);
    expect(get("tenant")).toBeUndefined();
  });

  test("`get` returns the option `unset`, as it does inside for a key without a value", () => {
    const context = createContext<Own>({ unset: "unset" });
    expect(context.get("userId")).toBe("unset");
    context.runWithContext({ requestId: "r", tenant: "" }, () => {
      expect(context.get("userId")).toBe("unset");
      expect(context.get("tenant")).toBe("");
      expect(context.getContext()).toEqual({ requestId: "r", tenant: "" });
    });
  });

  test.each<[string, unknown]>([
    ["options", null],
    ["unset", { unset: 1 }],
    ["default", { default: "x" }],
  ])("a wrong option is refused by name: %s", (name, options) => {
    expect(() => createContext(options as { unset: string })).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(`"${name}"`) }),
    );
  });
});

describe("within a run", () => {
  test("the result and the error of `fn` reach the caller, and the context ends with it", async () => {
    expect(runWithContext({ tenant: "a" }, () => get("tenant"))).toBe("a");
    const failure = new Error("from inside");
    expect(() =>
      runWithContext({ tenant: "a" }, () => {
        throw failure;
      }),
    ).toThrow(failure);
    await expect(runWithContext({ tenant: "a" }, async () => Promise.reject(failure))).rejects.toBe(failure);
    expect(getContext()).toBeUndefined();
  });

  test("a nested run inherits; its writes reach neither its parent nor its siblings", async () => {
    await runWithContext({ requestId: "r", tenant: "parent" }, async () => {
      const child = async (tenant: string): Promise<unknown> =>
        runWithContext({ depth: 1 }, async () => {
          expect(get("tenant")).toBe("parent");
          set("tenant", tenant);
          await delay(5);
          return getContext();
        });
      expect(await Promise.all([child("first"), child("second")])).toEqual([
        { requestId: "r", tenant: "first", depth: 1 },
        { requestId: "r", tenant: "second", depth: 1 },
      ]);
      expect(getContext()).toEqual({ requestId: "r", tenant: "parent" });
    });
  });

  test("a nested run sees what its parent sets later, unless it has a value of its own", () => {
    runWithContext({ tenant: "a" }, () => {
      const inherits = runWithContext({}, snapshot);
      const hides = runWithContext({ tenant: undefined }, snapshot);
      set("tenant", "b");
      expect([inherits(() => get("tenant")), hides(() => get("tenant"))]).toEqual(["b", undefined]);
    });
  });

  test("the object passed in stays unchanged, and the returned one is a copy", () => {
    const values = Object.freeze({ tenant: "a" });
    runWithContext(values, () => {
      expect(set("tenant", "b")).toBe(true);
      const copy = getContext() as { tenant: string };
      copy.tenant = "c";
      expect(get("tenant")).toBe("b");
    });
    expect(values.tenant).toBe("a");
  });

  test("a getter is called at each access, also from a nested run, until `set` replaces it", () => {
    let tenant = "a";
    const live: SomeValues<Own> = {
      get tenant() {
        return tenant;
      },
    };
    runWithContext(live, () => {
      runWithContext({ depth: 1 }, () => {
        tenant = "b";
        expect(get("tenant")).toBe("b");
        expect(getContext()).toEqual({ tenant: "b", depth: 1 });
        set("tenant", "mine");
        expect(get("tenant")).toBe("mine");
      });
      expect(get("tenant")).toBe("b");
    });
  });

  test("the getters of a class are called as well, and no member that every object has", () => {
    class Live {
      readonly tenant = "a";
      get depth(): number {
        return 3;
      }
    }
    runWithContext(new Live(), () => {
      runWithContext({ requestId: "r" }, () => {
        expect([get("tenant"), get("depth")]).toEqual(["a", 3]);
        expect(get("constructor" as "tenant")).toBeUndefined();
      });
    });
  });

  test("no key has a special meaning, such as `__proto__`", () => {
    const context = createContext<Record<string, unknown>>();
    context.runWithContext(JSON.parse('{ "__proto__": { "admin": true }, "toString": 1 }'), () => {
      expect(context.get("admin")).toBeUndefined();
      expect(context.get("hasOwnProperty")).toBeUndefined();
      expect(context.get("__proto__")).toEqual({ admin: true });
      context.set("__proto__", "text");
      expect(context.get("__proto__")).toBe("text");
      expect(context.get("toString")).toBe(1);
      expect(Object.getPrototypeOf(context.getContext())).toBe(Object.prototype);
    });
    expect({}).not.toHaveProperty("admin");
  });

  test("a snapshot runs functions in the context of its moment, also outside any context", () => {
    const outside = snapshot();
    const inside = runWithContext({ tenant: "a" }, snapshot);
    expect(inside(() => get("tenant"))).toBe("a");
    runWithContext({ tenant: "b" }, () => {
      expect(inside(() => [get("tenant"), set("tenant", "c")])).toEqual(["a", true]);
      expect(inside(() => get("tenant"))).toBe("c");
      expect(outside(() => [getContext(), set("tenant", "d")])).toEqual([undefined, false]);
      expect(get("tenant")).toBe("b");
    });
  });

  test("two contexts are independent", () => {
    const other = createContext<Own>();
    runWithContext({ tenant: "a" }, () => {
      expect(other.getContext()).toBeUndefined();
      other.runWithContext({ tenant: "b" }, () => expect([get("tenant"), other.get("tenant")]).toEqual(["a", "b"]));
    });
  });
});

test("listeners of a manager run in the context of the call that caused the event", async () => {
  const manager = new SessionManager({ store: new MemoryStore() });
  const seen: unknown[] = [];
  for (const name of ["created", "updated", "regenerated", "destroyed"] as const) {
    manager.on(name, () => seen.push([name, get("requestId")]));
  }
  await Promise.all(
    ["r1", "r2"].map((requestId) =>
      runWithContext({ requestId }, async () => {
        const { token, session } = await manager.create({ data: {} });
        await session.update(() => ({ n: 1 }));
        const regenerated = await manager.regenerate(token);
        await manager.destroy(regenerated?.token ?? "");
      }),
    ),
  );
  for (const requestId of ["r1", "r2"]) {
    expect(seen.filter((entry) => (entry as string[])[1] === requestId)).toEqual(
      ["created", "updated", "regenerated", "destroyed"].map((name) => [name, requestId]),
    );
  }
  expect(seen).toHaveLength(8);
  await manager.close();
});

test("types: own keys beside ours, or in their place", () => {
  expectTypeOf(get("tenant")).toEqualTypeOf<string | undefined>();
  expectTypeOf(get("depth")).toEqualTypeOf<number | undefined>();
  expectTypeOf(get("requestId")).toEqualTypeOf<string | undefined>();
  expectTypeOf(get).parameter(0).toEqualTypeOf<"tenant" | "depth" | "requestId" | "sessionId" | "userId">();
  expectTypeOf(runWithContext({}, () => 1)).toEqualTypeOf<number>();
  expectTypeOf(runWithContext({}, async () => "x")).toEqualTypeOf<Promise<string>>();
  expectTypeOf(getContext()?.depth).toEqualTypeOf<number | undefined>();

  const withDefault = createContext<{ userId: number }>({ unset: "unset" });
  expectTypeOf(withDefault).toEqualTypeOf<Context<{ userId: number }, string>>();
  expectTypeOf(withDefault.get("userId")).toEqualTypeOf<number | string>();
  // @ts-expect-error a misspelt key
  expect(get("tenent")).toBeUndefined();
  // @ts-expect-error a value of another type
  runWithContext({ depth: "deep" }, () => {});
});
