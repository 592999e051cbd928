import { beforeEach, expect, test, vi } from "vitest";
import { setUp } from "./support.js";

const randomness = vi.hoisted(() => ({ fails: false }));
vi.mock("node:crypto", async (original) => {
  const crypto = await original<typeof import("node:crypto")>();
  const randomFillSync = (buffer: Buffer): Buffer => {
    if (randomness.fails) throw new Error("the system has no randomness");
    return crypto.randomFillSync(buffer);
  };
  return { ...crypto, randomFillSync };
});

beforeEach(() => {
  randomness.fails = false;
});

test("a thousand sessions created at once have a thousand tokens", async () => {
  const { manager } = setUp();
  const created = await Promise.all(Array.from({ length: 1_000 }, () => manager.create({ data: {} })));
  expect(new Set(created.map(({ token }) => token)).size).toBe(1_000);
  expect(new Set(created.map(({ session }) => session.id)).size).toBe(1_000);
});

test("without randomness there is no token, and nothing is stored", async () => {
  const { manager, calls } = setUp();
  const { token } = await manager.create({ data: {} });
  randomness.fails = true;
  calls.length = 0;
  // A pool that was filled before may give out what it has.
  const outcomes = await Promise.allSettled(Array.from({ length: 1_000 }, () => manager.create({ data: {} })));
  const created = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value.token] : []));
  expect(new Set(created).size).toBe(created.length);
  expect(created.length).toBeLessThan(200);
  expect(calls).toEqual(new Array(created.length).fill("create"));
  await expect(manager.regenerate(token)).rejects.toThrow("no randomness");
  expect(await manager.get(token)).toBeDefined();
});
