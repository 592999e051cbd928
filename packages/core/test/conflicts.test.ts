import { describe, expect, test } from "vitest";
import type { ConflictPolicy, Session, SessionEvents, SessionManager } from "../src/index.js";
import { setUp } from "./support.js";

/** Returns one stored session, loaded twice: by a slow request and by a faster one. */
async function loadTwice(
  data: object,
  userId?: string,
  onConflict?: ConflictPolicy,
): Promise<{ manager: SessionManager; token: string; slow: Session; fast: Session; conflicts: string[] }> {
  const { manager } = setUp({ onConflict });
  const { token } = await manager.create({ data: { ...data }, userId });
  const conflicts: string[] = [];
  manager.on("conflict", ({ reason }: SessionEvents["conflict"]) => conflicts.push(reason));
  const [slow, fast] = [await manager.get(token), await manager.get(token)];
  if (slow === undefined || fast === undefined) throw new Error("the session that was just created is gone");
  return { manager, token, slow, fast, conflicts };
}

describe("save by merge", () => {
  test("two requests that set different keys both keep theirs", async () => {
    const { manager, token, slow, fast, conflicts } = await loadTwice({ a: 1 });
    expect(await fast.save({ a: 1, fast: 1 })).toBe("saved");
    expect(await slow.save({ a: 1, slow: 1 })).toBe("saved");
    expect((await manager.get(token))?.data).toEqual({ a: 1, fast: 1, slow: 1 });
    expect(slow.data).toEqual({ a: 1, fast: 1, slow: 1 });
    expect(conflicts).toEqual(["retried"]);
  });

  test("a key that one request deleted does not come back from the other", async () => {
    const { manager, token, slow, fast } = await loadTwice({ a: 1, b: 1 });
    await fast.save({ b: 1 });
    await slow.save({ a: 1, b: 2 });
    expect((await manager.get(token))?.data).toEqual({ b: 2 });
  });

  test("a save without changes becomes a touch, which is no conflict for other writers", async () => {
    const { manager, token, slow, fast } = await loadTwice({ a: 1 });
    await fast.save({ a: 2 });
    expect(await slow.save({ a: 1 })).toBe("unchanged");
    expect(await manager.get(token)).toMatchObject({ data: { a: 2 }, version: 2 });
  });

  test("a save with shorten false moves no deadline nearer than another writer has set it", async () => {
    const { slow, fast } = await loadTwice({ a: 1 });
    await fast.save({ a: 2 }, { idleMs: 900_000 });
    expect(await slow.save({ a: 1, b: 1 }, { idleMs: 60_000, shorten: false })).toBe("saved");
    expect(slow.remainingMs).toBeGreaterThan(800_000);
    expect(await slow.save(slow.data, { idleMs: 60_000, shorten: false })).toBe("unchanged");
    expect(slow.remainingMs).toBeGreaterThan(800_000);
    await slow.save({ ...slow.data, c: 1 }, { idleMs: 60_000 });
    expect(slow.remainingMs).toBeLessThanOrEqual(60_000);
  });

  test("a second save is compared with the data that the first one stored", async () => {
    const { slow, conflicts } = await loadTwice({ a: 1 });
    expect(await slow.save({ a: 1, b: 1 })).toBe("saved");
    expect(await slow.save({ a: 1, b: 1, c: 1 })).toBe("saved");
    expect(slow.data).toEqual({ a: 1, b: 1, c: 1 });
    expect(conflicts).toEqual([]);
  });

  test("a caller that goes on with its own data passes its base, and keeps the keys that others wrote before its last save", async () => {
    const { slow, fast } = await loadTwice({ a: 1, b: 1, gone: 1 });
    await fast.save({ a: 1, b: 2, theirs: 1 });
    const mine = { a: 2, b: 1, gone: 1 };
    await slow.save(mine);
    expect(await slow.save({ ...mine, a: 3 }, { base: mine })).toBe("saved");
    expect(slow.data).toEqual({ a: 3, b: 2, theirs: 1 });
    expect(await slow.save({ ...mine, a: 3 }, { base: { ...mine, a: 3 } })).toBe("unchanged");
  });

  test("a touch in between is no conflict", async () => {
    const { manager, token, slow, conflicts } = await loadTwice({ a: 1 });
    await manager.touch(token);
    await slow.save({ a: 2 });
    expect(conflicts).toEqual([]);
  });
});

describe.each<ConflictPolicy>(["merge", "fail", "overwrite"])("under the policy %s", (policy) => {
  test.each([
    ["changed", { a: 2 }, "ended"],
    // No command is sent, so the end of the session is not noticed.
    ["did not change", { a: 1 }, "unchanged"],
  ])("a save that %s data does not revive a destroyed session", async (_name, data, status) => {
    const { manager, token, slow } = await loadTwice({ a: 1 }, undefined, policy);
    await manager.destroy(token);
    expect(await slow.save(data)).toBe(status);
    expect(await slow.touch({ idleMs: 60_000, shorten: true })).toBe(false);
    expect(await manager.get(token)).toBeUndefined();
  });

  test("a save is dropped when the session belongs to another user by now", async () => {
    const { manager, token, slow, fast, conflicts } = await loadTwice({ cart: ["u1's"] }, "u1", policy);
    await fast.save({}, { userId: "u2" });
    expect(await slow.save({ cart: ["u1's", "more"] })).toBe("changedUser");
    expect(await slow.update((data) => ({ ...data, late: true }))).toBe(false);
    expect(await manager.get(token)).toMatchObject({ userId: "u2", data: {} });
    expect(conflicts).toContain("changedUser");
  });
});

describe("an anonymous session that one user has gained, and that a stale write would give to another user,", () => {
  test("keeps its data from the other: a save is dropped", async () => {
    const { manager, token, slow, fast, conflicts } = await loadTwice({ cart: [] });
    await fast.save({ cart: [], isAdmin: true }, { userId: "u1" });
    expect(await slow.save({ cart: [], mine: 1 }, { userId: "u2" })).toBe("changedUser");
    expect(await manager.get(token)).toMatchObject({ userId: "u1", data: { cart: [], isAdmin: true } });
    expect(conflicts).toEqual(["changedUser"]);
  });

  test("keeps its data from the other: a regeneration is dropped", async () => {
    const { manager, token, fast } = await loadTwice({});
    const regenerated = await manager.regenerate(token, {
      userId: "u2",
      update: async (data) => {
        await fast.save({ isAdmin: true }, { userId: "u1" });
        return { ...data, mine: 1 };
      },
    });
    expect(regenerated).toBeUndefined();
    expect(await manager.get(token)).toMatchObject({ userId: "u1", data: { isAdmin: true } });
  });

  test("accepts a second login of the same user", async () => {
    const { slow, fast } = await loadTwice({});
    await fast.save({ a: 1 }, { userId: "u1" });
    expect(await slow.save({ b: 1 }, { userId: "u1" })).toBe("saved");
    expect(slow).toMatchObject({ userId: "u1", data: { a: 1, b: 1 } });
  });
});

test("policy overwrite: this writer's data replaces the stored data", async () => {
  const { manager, token, slow, fast } = await loadTwice({ a: 1 }, "42", "overwrite");
  await fast.save({ a: 1, fast: 1 });
  expect(await slow.save({ a: 3 })).toBe("saved");
  expect((await manager.get(token))?.data).toEqual({ a: 3 });
});

test("policy fail: the later save rejects CONFLICT and changes nothing", async () => {
  const { manager, token, slow, fast, conflicts } = await loadTwice({ a: 1 }, "42", "fail");
  await fast.save({ a: 1, fast: 1 });
  await expect(slow.save({ a: 3 })).rejects.toMatchObject({ code: "CONFLICT", retryable: true });
  expect((await manager.get(token))?.data).toEqual({ a: 1, fast: 1 });
  expect(conflicts).toEqual(["refused"]);
});

describe("update", () => {
  test("100 concurrent increments are all counted", async () => {
    const { manager } = setUp();
    const { token } = await manager.create({ data: { n: 0 } });
    await Promise.all(Array.from({ length: 100 }, () => manager.update(token, ({ n }) => ({ n: Number(n) + 1 }))));
    expect((await manager.get(token))?.data).toEqual({ n: 100 });
  });

  test("gives up with CONFLICT when a hundred other writers in a row are faster", async () => {
    const { manager } = setUp();
    const { token } = await manager.create({ data: { n: 0 } });
    let calls = 0;
    const hotSpot = manager.update(token, async ({ n }) => {
      calls++;
      await manager.update(token, (data) => ({ ...data, other: calls }));
      return { n: Number(n) + 1 };
    });
    await expect(hotSpot).rejects.toMatchObject({ code: "CONFLICT" });
    expect(calls).toBe(100);
    expect((await manager.get(token))?.data).toEqual({ n: 0, other: 100 });
  });

  test("within a regeneration gives up after as many attempts, keeps the token, and emits a conflict event", async () => {
    const { manager, token, conflicts } = await loadTwice({ n: 0 });
    let n = 0;
    const hotSpot = manager.regenerate(token, {
      update: async (data) => {
        await manager.update(token, () => ({ n: ++n }));
        return data;
      },
    });
    await expect(hotSpot).rejects.toMatchObject({ code: "CONFLICT" });
    expect(conflicts.at(-1)).toBe("refused");
    expect((await manager.get(token))?.data).toEqual({ n: 100 });
  });

  test("returning the data received writes nothing", async () => {
    const { manager, calls } = setUp();
    const { token } = await manager.create({ data: {} });
    calls.length = 0;
    expect(await manager.update(token, (data) => data)).toBeDefined();
    expect(calls).toEqual(["get"]);
  });

  test("a function that throws changes nothing", async () => {
    const { manager } = setUp();
    const { token } = await manager.create({ data: { a: 1 } });
    const failing = manager.update(token, () => {
      throw new Error("mine");
    });
    await expect(failing).rejects.toThrow("mine");
    expect(await manager.get(token)).toMatchObject({ data: { a: 1 }, version: 1 });
  });

  test("the user can change with it, or be removed", async () => {
    const { manager } = setUp();
    const { token } = await manager.create({ data: {} });
    expect((await manager.update(token, (data) => data, { userId: "42" }))?.userId).toBe("42");
    expect(await manager.listByUser("42")).toHaveLength(1);
    expect((await manager.update(token, (data) => data, { userId: null }))?.userId).toBeUndefined();
    expect(await manager.listByUser("42")).toEqual([]);
  });
});
