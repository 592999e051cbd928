import { type DeepReadonly, type Session, SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import type { FastifyRequest } from "fastify";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import {
  type FastifySessionsOptions,
  type RequestSession,
  type SessionDraft,
  type SessionOf,
  sessionOf,
} from "../src/index.js";

const manager = new SessionManager({
  store: new MemoryStore(),
  sweep: false,
  schema: z.object({ cart: z.array(z.string()).default([]), name: z.string() }),
});
interface Held {
  cart: string[];
  name: string;
}

declare module "fastify" {
  interface FastifyRequest {
    // Not "session": @fastify/session, whose store has its tests here too, declares that for itself.
    shop: SessionOf<typeof manager>;
  }
}

test("a request's session has the type of the manager's schema, by declaration and without", () => {
  expectTypeOf<FastifyRequest["shop"]>().toEqualTypeOf<Promise<RequestSession<Held>>>();
  const accessor = (request: FastifyRequest) => sessionOf(request, manager);
  expectTypeOf(accessor).returns.toEqualTypeOf<Promise<RequestSession<Held>>>();
  expectTypeOf<SessionOf<SessionManager>>().toEqualTypeOf<Promise<RequestSession<Record<string, unknown>>>>();
  expectTypeOf<SessionOf<string>>().toBeNever();
});

test("a session that is not loaded has no data in its type", () => {
  expectTypeOf<FastifyRequest["shop"]>().not.toHaveProperty("data");
});

test("keys may be missing; values may be changed", () => {
  type Draft = SessionDraft<Held>;
  expectTypeOf<RequestSession<Held>["data"]>().toEqualTypeOf<Draft>();
  expectTypeOf<Draft["cart"]>().toEqualTypeOf<string[] | undefined>();
  expectTypeOf<Draft>().toEqualTypeOf<{ cart?: string[] | undefined; name?: string | undefined }>();
  expectTypeOf<{ cart: string[] }>().toExtend<Draft>();
  expectTypeOf<{ cart: number[] }>().not.toExtend<Draft>();
});

test("methods are typed by the data", () => {
  expectTypeOf<RequestSession<Held>["update"]>().parameter(0).parameter(0).toEqualTypeOf<DeepReadonly<Held>>();
  expectTypeOf<RequestSession<Held>["stored"]>().toEqualTypeOf<Session<Held> | undefined>();
  expectTypeOf<{ keep: ["cart"]; userId: string }>().toExtend<Parameters<RequestSession<Held>["regenerate"]>[0]>();
  expectTypeOf<{ keep: ["other"] }>().not.toExtend<Parameters<RequestSession<Held>["regenerate"]>[0]>();
  expectTypeOf<RequestSession<Held>["flash"]>().toBeCallableWith("info", "saved");
});

test("options: a manager or a store, a cookie or a header", () => {
  const secret = "";
  expectTypeOf({ manager, secret }).toExtend<FastifySessionsOptions>();
  expectTypeOf({ store: new MemoryStore(), idleTimeout: "1h" as const, secret }).toExtend<FastifySessionsOptions>();
  expectTypeOf({ manager, header: "authorization" }).toExtend<FastifySessionsOptions>();
  expectTypeOf({ manager }).not.toExtend<FastifySessionsOptions>();
  expectTypeOf({ secret }).not.toExtend<FastifySessionsOptions>();
  expectTypeOf({ manager, secret: undefined }).not.toExtend<FastifySessionsOptions>();
  expectTypeOf({ manager, secret, header: "authorization" }).not.toExtend<FastifySessionsOptions>();
});
