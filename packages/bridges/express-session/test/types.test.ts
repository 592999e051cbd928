import { type Session, SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import { expect, expectTypeOf, test } from "vitest";
import { ExpressSessionStore } from "../src/index.js";

test("a manager of typed sessions is accepted and keeps its type", () => {
  const manager = new SessionManager<{ cart: string[] }>({ store: new MemoryStore(), sweep: false });
  const store = new ExpressSessionStore({ manager });
  expect(store.manager).toBe(manager);
  expectTypeOf(store.manager).toEqualTypeOf(manager);
  expectTypeOf(store.listByUser).returns.resolves.toEqualTypeOf<Session<{ cart: string[] }>[]>();
});
