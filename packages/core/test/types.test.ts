import * as v from "valibot";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import type { CreateArguments, CreateInput, DeepReadonly, Session, SessionData } from "../src/index.js";
import { SessionManager } from "../src/index.js";
import { setUp } from "./support.js";

type UserId = string & { readonly brand: "UserId" };

interface Cart {
  user: UserId;
  note?: string | null;
  state: { kind: "open" } | { kind: "paid"; at: number };
  range: [from: number, to?: number];
  items: { id: string; tags: string[] }[];
}

test("data of an interface type is read-only at every depth, and of the same type otherwise", () => {
  expectTypeOf<SessionManager<Cart>["byId"]>().not.toBeAny();
  type Data = Session<Cart>["data"];
  expectTypeOf<Data["user"]>().toEqualTypeOf<UserId>();
  expectTypeOf<Data["note"]>().toEqualTypeOf<string | null | undefined>();
  expectTypeOf<Data["range"]>().toEqualTypeOf<readonly [from: number, to?: number]>();
  expectTypeOf<Data["items"]>().toEqualTypeOf<readonly { readonly id: string; readonly tags: readonly string[] }[]>();
  expectTypeOf<Data["state"]["kind"]>().toEqualTypeOf<"open" | "paid">();
  expectTypeOf<Cart>().toExtend<DeepReadonly<Cart>>();
  expectTypeOf<DeepReadonly<unknown>>().toBeUnknown();
});

test("create needs data unless an empty object is valid", () => {
  const { store } = setUp();
  const carts = new SessionManager<{ cart: string[] }>({ store });
  expectTypeOf<Parameters<typeof carts.create>>().toEqualTypeOf<[input: CreateInput<{ cart: string[] }>]>();
  // @ts-expect-error a cart is needed
  () => carts.create();
  // @ts-expect-error a cart is needed
  () => carts.create({ userId: 42 });
  const anything = new SessionManager({ store });
  () => [anything.create(), anything.create({ userId: 42n }), anything.byId.create("a")];
});

test("a schema determines the types of data and of the input of create", () => {
  const { store } = setUp();
  const zod = new SessionManager({ store, schema: z.object({ cart: z.array(z.string()).default([]) }) });
  expectTypeOf(zod).toEqualTypeOf<SessionManager<{ cart: string[] }, { cart?: string[] | undefined }>>();
  expectTypeOf<Parameters<typeof zod.create>>().toEqualTypeOf<CreateArguments<{ cart?: string[] | undefined }>>();
  expectTypeOf(zod.get).returns.resolves.toEqualTypeOf<Session<{ cart: string[] }> | undefined>();

  const valibot = new SessionManager({
    store,
    schema: v.objectAsync({ user: v.string() }),
    schemaVersion: 2,
    upgrade: (data, from) => {
      expectTypeOf(data).toEqualTypeOf<DeepReadonly<SessionData>>();
      expectTypeOf(from).toBeNumber();
      return { user: String(data.name) };
    },
  });
  expectTypeOf(valibot).toEqualTypeOf<SessionManager<{ user: string }>>();

  // @ts-expect-error an upgrade makes what the schema takes
  new SessionManager({ store, schema: z.object({ user: z.string() }), upgrade: () => ({ user: 1 }) });
  // @ts-expect-error sessions are objects
  new SessionManager({ store, schema: z.string() });
  expectTypeOf(new SessionManager({ store })).toEqualTypeOf<SessionManager>();
  expectTypeOf(new SessionManager({ store, upgrade: () => ({ a: 1 }) })).toEqualTypeOf<SessionManager>();
});
