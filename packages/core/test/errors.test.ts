import { expect, test, vi } from "vitest";
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
