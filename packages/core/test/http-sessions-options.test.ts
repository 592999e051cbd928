import { expect, test } from "vitest";
import { HttpSessions, type HttpSessionsOptions } from "../src/bridge/index.js";
import { isSessionError } from "../src/index.js";
import { secret, type TestRequest, testFramework } from "./http-support.js";
import { setUp } from "./support.js";

const { manager, store } = setUp();

test.each<[string, object | undefined]>([
  ["options", undefined],
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
  ['option "saveUninitialized" must be a boolean', { manager, secret, saveUninitialized: 1 }],
  ['option "metadata" must be a function', { manager, secret, metadata: {} }],
])("refuses: %s", (message, options) => {
  let error: unknown;
  try {
    // JavaScript callers may pass anything.
    new HttpSessions(testFramework(), options as HttpSessionsOptions<TestRequest>);
  } catch (cause) {
    error = cause;
  }
  expect(isSessionError(error, "INVALID_OPTION"), String(error)).toBe(true);
  expect(String(error)).toContain(message);
});

test("close closes the manager made for a store, and leaves the application's own open", async () => {
  const own = setUp();
  await new HttpSessions(testFramework(), { manager: own.manager, secret }).close();
  expect(await own.manager.get("A".repeat(43))).toBeUndefined();
  const made = new HttpSessions(testFramework(), { store: own.store, secret });
  await made.close();
  await expect(made.manager.get("A".repeat(43))).rejects.toMatchObject({ code: "CLOSED" });
});
