import { describe, expect, test } from "vitest";
import { classify, refusal } from "../src/errors.js";

function socketError(code: string): Error {
  return Object.assign(new Error(`${code} happened`), { code });
}

describe("classify", () => {
  const table: readonly [error: unknown, code: string][] = [
    [socketError("ECONNREFUSED"), "UNAVAILABLE"],
    [socketError("ENOTFOUND"), "UNAVAILABLE"],
    [socketError("EHOSTUNREACH"), "UNAVAILABLE"],
    [socketError("ECONNRESET"), "UNAVAILABLE"],
    [socketError("EPIPE"), "UNAVAILABLE"],
    [new Error("socket timed out connecting to server."), "UNAVAILABLE"],
    [new Error("socket timed out waiting on response."), "TIMEOUT"],
    ["Memcached server authentication failed!", "BACKEND"],
    [new TypeError("something else"), "BACKEND"],
    [undefined, "BACKEND"],
  ];
  test.each(table)("%s is %s", (error, code) => {
    for (const sent of [true, false]) {
      const classified = classify(error, { operation: "create", sent });
      expect(classified).toMatchObject({ code, outcomeUnknown: sent });
      expect(classified.cause).toBe(error);
      expect(classified.message).toMatch(/^@sojourn\/memcached: create: /);
    }
  });
});

test.each([
  [0x03, "BACKEND"],
  [0x20, "BACKEND"],
  [0x81, "BACKEND"],
  [0x82, "UNAVAILABLE"],
  [0x85, "UNAVAILABLE"],
  [0x86, "UNAVAILABLE"],
  [0x4242, "BACKEND"],
])("an answer of the server with status %i is %s", (status, code) => {
  expect(refusal(status, "add")).toMatchObject({ code });
});
