import { isSessionError, SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import Fastify from "fastify";
import { expect, test } from "vitest";
import { type FastifySessionsOptions, fastifySessions } from "../src/index.js";
import { secret } from "./support.js";

const manager = new SessionManager({ store: new MemoryStore(), sweep: false });

test.each<[string, object]>([
  ['@sojourn/fastify: option "decorator" must be', { manager, secret, decorator: "" }],
  ['@sojourn/fastify: option "metadata" must be a function', { manager, secret, metadata: {} }],
  ['unknown option "rolling"', { manager, secret, rolling: true }],
])("app.ready() rejects: %s", async (message, options) => {
  const app = Fastify();
  // JavaScript callers may pass anything.
  app.register(fastifySessions, options as FastifySessionsOptions);
  const error: unknown = await app.ready().then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(isSessionError(error, "INVALID_OPTION"), String(error)).toBe(true);
  expect(String(error)).toContain(message);
  await app.close();
});

test("accepts the options of Fastify's own register", async () => {
  const app = Fastify();
  app.register(fastifySessions, { manager, secret, prefix: "/app", logLevel: "warn" });
  await app.ready();
  await app.close();
});
