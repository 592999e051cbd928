import { expectTypeOf, test } from "vitest";
import type { DeepReadonly, Session, SessionManager } from "../src/index.js";

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
