import { expect, test, vi } from "vitest";
import { invalidOption } from "../src/adapter/index.js";
import { isSessionError, SessionError } from "../src/index.js";

test("an error of another copy of the package is recognised, one without the brand is not", async () => {
  vi.resetModules();
  const copy = await import("../src/contract/errors.js");
  const foreign = new copy.SessionError("TIMEOUT", "late");
  expect(foreign).not.toBeInstanceOf(SessionError);
  expect(isSessionError(foreign)).toBe(true);
  expect(isSessionError(foreign, "TIMEOUT")).toBe(true);
  expect(isSessionError(foreign, "CORRUPT")).toBe(false);
  expect(isSessionError(Object.assign(new Error("x"), { code: "TIMEOUT", name: "SessionError" }))).toBe(false);
  expect(isSessionError(undefined)).toBe(false);
});

test("retryable and outcomeUnknown follow from the code, the cause is kept", () => {
  const cause = new Error("socket closed");
  expect(new SessionError("UNAVAILABLE", "m", { cause })).toMatchObject({
    retryable: true,
    outcomeUnknown: false,
    cause,
  });
  expect(new SessionError("TIMEOUT", "m")).toMatchObject({ retryable: true, outcomeUnknown: true });
  expect(new SessionError("UNAVAILABLE", "m", { outcomeUnknown: true }).outcomeUnknown).toBe(true);
  expect(new SessionError("BACKEND", "m").retryable).toBe(false);
});

test("a URL in the wrong place is named, not shown: it may hold a password", () => {
  for (const url of ["redis://user:secret@host:6379", " postgres://u:secret@h/db", "mongodb+srv://u:secret@h"]) {
    const { message } = invalidOption("@sojourn/redis", "client", "a client", url);
    expect(message).toBe('@sojourn/redis: option "client" must be a client, received a URL');
  }
  expect(invalidOption("p", "prefix", "short", "app:").message).toContain('received "app:"');
});
