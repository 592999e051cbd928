import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { shardOf } from "../src/sharded-map.js";

test.each<[string, (n: number) => string]>([
  ["hashes", (n) => createHash("sha256").update(`${n}`).digest("base64url")],
  ["counted ids", (n) => `session-of-the-shop-in-main-street-${n}`],
  ["e-mail addresses", (n) => `user${n}@example.com`],
  ["long addresses", (n) => `${n}.${"x".repeat(20)}@${"sub.".repeat(8)}example.com`],
])("%s fall into most shards, evenly", (_, keyOf) => {
  const sizes = new Map<number, number>();
  for (let n = 0; n < 100_000; n += 1) sizes.set(shardOf(keyOf(n)), (sizes.get(shardOf(keyOf(n))) ?? 0) + 1);
  expect(sizes.size).toBeGreaterThan(512);
  expect(Math.max(...sizes.values())).toBeLessThan(1_000);
});
