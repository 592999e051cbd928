import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { generateToken, isToken, tokenToId } from "../src/sessions/tokens.js";

test("a million tokens are 43 characters of base64url each, and do not repeat", () => {
  const tokens = new Set(Array.from({ length: 1_000_000 }, generateToken));
  expect(tokens.size).toBe(1_000_000);
  expect([...tokens].filter((token) => !isToken(token))).toEqual([]);
});

test("each bit of a token is set half of the time", () => {
  const counts = new Array<number>(256).fill(0);
  const samples = 20_000;
  for (let sample = 0; sample < samples; sample++) {
    const bytes = Buffer.from(generateToken(), "base64url");
    expect(bytes.length).toBe(32);
    for (let bit = 0; bit < 256; bit++) counts[bit] = (counts[bit] ?? 0) + (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1);
  }
  // Seven standard deviations: one in 10^12 for each bit.
  const tolerance = 7 * Math.sqrt(samples / 4);
  for (const count of counts) expect(Math.abs(count - samples / 2)).toBeLessThan(tolerance);
});

test("an id is the SHA-256 of the token, and no credential itself", () => {
  const token = generateToken();
  const id = tokenToId(token);
  expect(id).toBe(createHash("sha256").update(token).digest("base64url"));
  expect(isToken(id)).toBe(true);
  expect(tokenToId(id)).not.toBe(id);
});

test.each([
  ["nothing", undefined],
  ["an object, as cookie parsers make them", { length: 43 }],
  ["an array of one token", [generateToken()]],
  ["10 kB", "a".repeat(10_240)],
  ["one character less", "a".repeat(42)],
  ["one character more", "a".repeat(44)],
  ["NUL", `${"a".repeat(42)}\0`],
  ["CR LF", `${"a".repeat(41)}\r\n`],
  ["a token followed by a line feed", `${"a".repeat(43)}\n`],
  ["a path", `../${"a".repeat(40)}`],
  ["plain base64", `${"a".repeat(41)}+/`],
])("is no token: %s", (_name, value) => {
  expect(isToken(value)).toBe(false);
});
