import { expect, test } from "vitest";
import { requestIds } from "../src/index.js";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("without a trusted header every request gets a new UUID, regardless of its headers", () => {
  const idOf = requestIds();
  const ids = Array.from({ length: 100 }, () => idOf({ headers: { "x-request-id": "mine" } }));
  expect(new Set(ids).size).toBe(100);
  for (const id of ids) expect(id).toMatch(uuid);
});

test.each([
  "7",
  "f47ac10b-58cc-4372-a567-0e02b2c3d479",
  "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  "Root=1-67891233-abcdef012345678912345678",
  "a".repeat(128),
])("a trusted header is taken: %s", (value) => {
  expect(requestIds("X-Request-Id")({ headers: { "x-request-id": value } })).toBe(value);
});

test.each([
  ["absent", undefined],
  ["empty", ""],
  ["too long", "a".repeat(129)],
  ["a line end", "a\nb"],
  ["a last line end", "a\n"],
  ["a space", "a b"],
  ["a quote", 'a"'],
  ["a bracket", "a]"],
  ["an escape", "\u001b[31m"],
  ["two headers joined", "a, b"],
  ["beyond ASCII", "ä"],
  ["twice", ["a", "b"]],
])("a value that is %s is replaced", (_name, value) => {
  const headers = value === undefined ? {} : { "x-request-id": value };
  expect(requestIds("x-request-id")({ headers: headers as Record<string, string> })).toMatch(uuid);
});

test.each([[""], [1], [["x-request-id"]]])("a header name of %j is refused", (header) => {
  expect(() => requestIds(header as string)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining("requestIdHeader") }),
  );
});
