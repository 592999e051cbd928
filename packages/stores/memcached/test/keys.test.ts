import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { Keys } from "../src/keys.js";

const awkward = [
  "a b",
  "a\r\nflush_all\r\n",
  "\u0001\u007f\u009f",
  "a".repeat(512),
  "😀".repeat(128),
  "%s:*?[]'\"\\_",
  "é",
  "e\u0301",
  "A",
  "a",
  "a ",
];

test("keys are short and plain, whatever they are made of, and no two are the same", () => {
  const texts = [...awkward, ...Array.from({ length: 500 }, (_, n) => randomBytes(1 + (n % 400)).toString("latin1"))];
  const keys = texts.flatMap((text) => {
    const own = new Keys(text);
    const shared = new Keys("shared");
    return [own.session("a"), own.user("a"), own.generation, shared.session(text), shared.user(text)];
  });
  for (const key of keys) {
    expect(key).toMatch(/^[\w:-]{1,90}$/);
  }
  expect(new Set(keys).size).toBe(new Set(texts).size * 5);
});
