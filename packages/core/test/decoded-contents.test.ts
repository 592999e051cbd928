import { expect, test, vi } from "vitest";
import { DecodedContents } from "../src/content/decoded-contents.js";
import { encryptedCodec, type SessionManager } from "../src/index.js";
import { setUp } from "./support.js";

const contentOf = (n: number) => ({ data: { n }, metadata: {} });

test("reads of an unchanged session share one frozen object, and a change is seen", async () => {
  const { manager, store } = setUp();
  const { token, session } = await manager.create({ data: { cart: ["a"] } });
  const first = await manager.get(token);
  expect((await manager.get(token))?.data).toBe(first?.data);
  expect(Object.isFrozen(first?.data)).toBe(true);
  // By another process, behind this manager's back.
  const payload = JSON.stringify({ data: { cart: ["b"] }, metadata: {} });
  await store.update(session.id, { payload });
  expect((await manager.get(token))?.data).toEqual({ cart: ["b"] });
});

test("a walk over all sessions caches no content, and evicts none", async () => {
  const { manager, store } = setUp();
  const payload = JSON.stringify({ data: { a: 1 }, metadata: {} });
  await store.create({ id: "walked", userId: "42", payload, idleMs: 60_000, absoluteMs: 60_000 });
  const keep = vi.spyOn(DecodedContents.prototype, "keep");
  await manager.listByUser("42");
  await manager.exportUser("42");
  for await (const session of manager.byId.scan()) expect(session.data).toEqual({ a: 1 });
  expect(keep).not.toHaveBeenCalled();
  await manager.byId.get("walked");
  expect(keep).toHaveBeenCalledTimes(1);
  keep.mockRestore();
});

test("the store decides: a session that has ended elsewhere is not found, and a broken payload is detected", async () => {
  const { manager, store } = setUp();
  const { token, session } = await manager.create({ data: { a: 1 } });
  await manager.get(token);
  await store.update(session.id, { payload: "{" });
  await expect(manager.get(token)).rejects.toMatchObject({ code: "DECODE" });
  await store.destroy(session.id);
  expect(await manager.get(token)).toBeUndefined();
});

test("an encrypted payload is decrypted each time, because its key may have been removed", async () => {
  const codec = encryptedCodec({ keys: [{ id: "a", secret: Buffer.alloc(32, 1) }] });
  const { manager } = setUp({ codec });
  const { token } = await manager.create({ data: { a: 1 } });
  const read = await manager.get(token);
  expect((await manager.get(token))?.data).not.toBe(read?.data);
});

test.each([
  ["destroy", (manager: SessionManager, token: string) => manager.destroy(token)],
  ["destroyByUser", (manager: SessionManager) => manager.destroyByUser("42")],
  ["a login beyond the limit", (manager: SessionManager) => manager.create({ userId: "42", data: {} })],
  ["regenerate", (manager: SessionManager, token: string) => manager.regenerate(token)],
])("%s removes the session's content from the cache", async (_name, end) => {
  const forget = vi.spyOn(DecodedContents.prototype, "forget");
  const { manager } = setUp({ sessionLimit: { max: 1, whenReached: "evictOldest" } });
  const { token, session } = await manager.create({ userId: "42", data: { a: 1 } });
  await end(manager, token);
  expect(forget).toHaveBeenCalledWith(session.id);
  forget.mockRestore();
});

test.each(["update", "rename"])("a late %s, after the end, leaves no content in the cache either", async (write) => {
  const lingering = new Set<string>();
  const keep = vi.spyOn(DecodedContents.prototype, "keep").mockImplementation((id) => void lingering.add(id));
  const forget = vi.spyOn(DecodedContents.prototype, "forget").mockImplementation((id) => void lingering.delete(id));
  const { manager } = setUp();
  const { token, session } = await manager.create({ userId: "42", data: { a: 1 } });
  const change = async () => {
    await manager.destroyByUser("42");
    expect(lingering.size).toBe(0);
    return { a: 2 };
  };
  const outcome =
    write === "update" ? await session.update(change) : await manager.regenerate(token, { update: change });
  expect(outcome).toBeFalsy();
  expect(keep.mock.calls.length).toBeGreaterThan(1);
  expect(lingering).toEqual(new Set());
  keep.mockRestore();
  forget.mockRestore();
});

test("an entry is found by its id and an equal payload, until it is dropped", () => {
  const decoded = new DecodedContents();
  const content = contentOf(1);
  decoded.keep("id", "payload", content);
  expect(decoded.find("id", "payload")).toBe(content);
  expect(decoded.find("id", "other")).toBeUndefined();
  expect(decoded.find("other", "payload")).toBeUndefined();
  decoded.forget("id");
  expect(decoded.find("id", "payload")).toBeUndefined();
});

test("an entry that is not read any more is dropped, an entry that is read stays, and a large one is not cached", () => {
  const decoded = new DecodedContents();
  const payload = "x".repeat(10_000);
  for (let n = 0; n < 4_000; n++) {
    decoded.keep(`id${n}`, payload, contentOf(n));
    decoded.find("id0", payload);
  }
  const kept = Array.from({ length: 4_000 }, (_, n) => n).filter((n) => decoded.find(`id${n}`, payload) !== undefined);
  expect(kept[0]).toBe(0);
  expect(kept.at(-1)).toBe(3_999);
  // Two generations of twelve million characters.
  expect(kept.length).toBeLessThan(2_500);
  const large = "x".repeat(100_000);
  decoded.keep("large", large, contentOf(0));
  expect(decoded.find("large", large)).toBeUndefined();
});
