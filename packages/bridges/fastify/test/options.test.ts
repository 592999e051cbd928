import { isSessionError, SessionManager } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import Fastify from "fastify";
import { expect, test } from "vitest";
import { type SojournSessionOptions, sojournSession } from "../src/index.js";
import { secret } from "./support.js";

const manager = new SessionManager({ store: new MemoryStore(), sweep: false });
const store = new MemoryStore();

test.each<[string, object]>([
  ['option "secret" must be', { manager }],
  ['option "secret" must be', { manager, secret: process.env.NOT_SET }],
  ['option "secret" must be', { manager, secret: "short" }],
  ['option "manager" must be a SessionManager', { manager: {}, secret }],
  ['option "store" must be a SessionStore', { secret }],
  ['option "store" must be a SessionStore', { store: {}, secret }],
  ['unknown option "idleTimeout"', { manager, secret, idleTimeout: "1h" }],
  ['unknown option "rolling"', { manager, secret, rolling: true }],
  ['unknown option "rolling"', { store, secret, rolling: true }],
  ['unknown option "maxAge"', { manager, secret, cookie: { maxAge: 5 } }],
  ['option "cookie" must be an object', { manager, secret, cookie: "sid" }],
  ['option "cookie" must be an object', { manager, secret, cookie: null }],
  ['option "cookie" must be without "secret"', { manager, secret, cookie: { secret } }],
  ['"lax" or "strict" where "secure" is false', { manager, secret, cookie: { secure: false, sameSite: "none" } }],
  ['option "header" must be missing', { manager, secret, header: "authorization" }],
  ['option "header" must be missing', { manager, cookie: {}, header: "authorization" }],
  ['option "header" must be the name of a header', { manager, header: "cookie" }],
  ['option "header" must be the name of a header', { manager, header: "a b" }],
  ['option "header" must be the name of a header', { manager, header: "" }],
  ['option "header" must be the name of a header', { manager, header: true }],
  ['option "decorator" must be', { manager, secret, decorator: "" }],
  ['option "saveUninitialized" must be a boolean', { manager, secret, saveUninitialized: 1 }],
  ['option "metadata" must be a function', { manager, secret, metadata: {} }],
])("%s", async (message, options) => {
  const app = Fastify();
  // What JavaScript callers may pass.
  app.register(sojournSession, options as SojournSessionOptions);
  const error: unknown = await app.ready().then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(isSessionError(error, "INVALID_OPTION"), String(error)).toBe(true);
  expect(String(error)).toContain(message);
  await app.close();
});

test("what Fastify's register takes is no unknown option", async () => {
  const app = Fastify();
  app.register(sojournSession, { manager, secret, prefix: "/app", logLevel: "warn" });
  await app.ready();
  await app.close();
});
