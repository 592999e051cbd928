import { isSessionError } from "@sojourn/core";
import { expect, test } from "vitest";
import { resolveOptions } from "../src/options.js";

test("defaults", () => {
  expect(resolveOptions({})).toMatchObject({
    maxSessions: 1_000_000,
    maxBytes: 268_435_456,
    maxPayloadBytes: 16_777_216,
  });
});

test.each<[string, object | null, string]>([
  ["an unknown option", { maxSession: 1 }, 'unknown option "maxSession"'],
  ["no options", null, '"options"'],
  ["no room at all", { maxSessions: 0 }, '"maxSessions" must be a positive integer, received 0'],
  ["a fraction", { maxSessions: 1.5 }, '"maxSessions"'],
  ["infinity", { maxSessions: Number.POSITIVE_INFINITY }, '"maxSessions"'],
  ["a string", { maxSessions: "10" }, '"maxSessions"'],
  ["too few bytes", { maxBytes: 1_000 }, '"maxBytes" must be an integer of at least 65536, received 1000'],
  ["NaN", { maxBytes: Number.NaN }, '"maxBytes"'],
  ["a clock that tells no time", { clock: {} }, '"clock" must be a Clock'],
  ["null for a clock", { clock: null }, '"clock"'],
])("refuses %s", (_name, options, message) => {
  expect(() => resolveOptions(options as object)).toThrow(
    expect.toSatisfy((error: Error) => isSessionError(error, "INVALID_OPTION") && error.message.includes(message)),
  );
});
