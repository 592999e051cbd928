import { SessionError } from "@sojourn/core";
import { describe, expect, test } from "vitest";
import { classify, refusal } from "../src/errors.js";

function socketError(code: string): Error {
  return Object.assign(new Error(`${code} happened`), { code });
}

describe("classify", () => {
  const table: readonly [error: unknown, code: string, unknownWhenWriting: boolean][] = [
    [socketError("ECONNREFUSED"), "UNAVAILABLE", false],
    [socketError("ENOTFOUND"), "UNAVAILABLE", false],
    [socketError("EHOSTUNREACH"), "UNAVAILABLE", false],
    [socketError("ECONNRESET"), "UNAVAILABLE", true],
    [socketError("EPIPE"), "UNAVAILABLE", true],
    [new Error("socket timed out connecting to server."), "UNAVAILABLE", false],
    [new Error("socket timed out waiting on response."), "TIMEOUT", true],
    ["Memcached server authentication failed!", "BACKEND", false],
    [new TypeError("something else"), "BACKEND", true],
    [undefined, "BACKEND", true],
  ];
  test.each(table)("%s is %s", (error, code, unknownWhenWriting) => {
    const written = classify(error, "compare-and-swap", true);
    expect(written).toMatchObject({ code, outcomeUnknown: unknownWhenWriting });
    expect(written.cause).toBe(error);
    expect(written.message).toMatch(/^@sojourn\/memcached: compare-and-swap: /);
    expect(classify(error, "read", false)).toMatchObject({ code, outcomeUnknown: false });
  });

  test("leaves an error of ours as it is", () => {
    const ours = new SessionError("TIMEOUT", "late");
    expect(classify(ours, "read", false)).toBe(ours);
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
])("a server that answers status %i is %s", (status, code) => {
  expect(refusal(status, "add")).toMatchObject({ code });
});
