import type { FastifySessionOptions } from "@fastify/session";
import { type Session, SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import type { FastifyRequest, Session as FastifySession } from "fastify";
import { expect, expectTypeOf, test } from "vitest";
import { FastifySessionStore } from "../src/index.js";

test("a manager of typed sessions is accepted and keeps its type", () => {
  const manager = new SessionManager<{ cart: string[] }>({ store: new MemoryStore(), sweep: false });
  const store = new FastifySessionStore({ manager });
  expect(store.manager).toBe(manager);
  expectTypeOf(store.manager).toEqualTypeOf(manager);
  expectTypeOf(store.listByUser).returns.resolves.toEqualTypeOf<Session<{ cart: string[] }>[]>();
});

test("it has the type of a store of @fastify/session, with its type of a session", () => {
  expectTypeOf<FastifySessionStore>().toExtend<NonNullable<FastifySessionOptions["store"]>>();
  const store = new FastifySessionStore({
    store: new MemoryStore(),
    sweep: false,
    userId: (data) => {
      expectTypeOf(data).toEqualTypeOf<Partial<FastifySession>>();
      return undefined;
    },
    metadata: (request) => {
      expectTypeOf(request).toEqualTypeOf<FastifyRequest>();
      return {};
    },
  });
  expectTypeOf(store.get).returns.resolves.toEqualTypeOf<FastifySession | null>();
});
