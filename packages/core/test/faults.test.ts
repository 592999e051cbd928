import { AsyncLocalStorage } from "node:async_hooks";
import { ModelStore } from "@sojourn/testkit";
import { describe, expect, test, vi } from "vitest";
import { SessionManager } from "../src/index.js";
import { gate, overriding, recording, setUp } from "./support.js";

/** A manager over a store of which one method behaves otherwise. */
function over(
  method: string,
  instead: (original: () => unknown) => unknown,
  options: { timeoutMs?: number } = {},
): { manager: SessionManager; calls: string[] } {
  const calls: string[] = [];
  const faulty = overriding(
    new ModelStore(),
    (name, original) =>
      async (...args) =>
        name === method ? instead(() => original(...args)) : original(...args),
  );
  return { manager: new SessionManager({ store: recording(faulty, calls), sweep: false, ...options }), calls };
}

const never = (): Promise<never> => new Promise(() => {});

describe("a store that fails", () => {
  test("with an error of its own kind rejects BACKEND with the cause, and emits an error event", async () => {
    const cause = new Error("disk on fire");
    const { manager } = over("get", () => Promise.reject(cause));
    const errors = vi.fn();
    manager.on("error", errors);
    const { token, session } = await manager.create({ data: {} });
    await expect(manager.get(token)).rejects.toMatchObject({ code: "BACKEND", cause });
    expect(errors).toHaveBeenCalledOnce();
    expect(errors.mock.calls[0]?.[0]).toMatchObject({ operation: "get", id: session.id });
    expect((await manager.stats()).operations.get?.errors).toBe(1);
  });

  test("by not answering rejects TIMEOUT and says that the outcome of a write is unknown", async () => {
    const { manager } = over("destroy", never, { timeoutMs: 20 });
    const { token } = await manager.create({ data: {} });
    await expect(manager.destroy(token)).rejects.toMatchObject({
      code: "TIMEOUT",
      retryable: true,
      outcomeUnknown: true,
    });
    // A write that hangs does not hold up the next one of this session for ever.
    expect(await manager.touch(token)).toBe(true);
  });

  test("while a list is read leaves out sessions that cannot be decoded, and reports them", async () => {
    const store = new ModelStore();
    const manager = new SessionManager({ store, sweep: false });
    const errors = vi.fn();
    manager.on("error", errors);
    await manager.create({ userId: "42", data: { ok: true } });
    await store.create({ id: "foreign", userId: "42", payload: "not json", idleMs: 60_000, absoluteMs: 60_000 });
    expect((await manager.listByUser("42")).map(({ data }) => data)).toEqual([{ ok: true }]);
    expect(errors.mock.calls[0]?.[0]).toMatchObject({ id: "foreign", error: { code: "DECODE" } });
    await expect(manager.byId.get("foreign")).rejects.toMatchObject({ code: "DECODE" });
    expect(await store.get("foreign")).toBeDefined();
  });
});

describe("an AbortSignal", () => {
  test("that has fired keeps the call from being sent", async () => {
    const { manager, calls } = setUp();
    const { token } = await manager.create({ data: {} });
    calls.length = 0;
    const signal = AbortSignal.abort(new Error("gone"));
    await expect(manager.destroy(token, { signal })).rejects.toMatchObject({ code: "ABORTED", outcomeUnknown: false });
    await expect(manager.update(token, (data) => ({ ...data }), { signal })).rejects.toMatchObject({ code: "ABORTED" });
    expect(calls).not.toContain("destroy");
    expect(calls).not.toContain("update");
    expect(await manager.get(token)).toBeDefined();
  });

  test("ends the waiting for an answer", async () => {
    const { manager } = over("get", never);
    const { token } = await manager.create({ data: {} });
    const controller = new AbortController();
    const read = manager.get(token, { signal: controller.signal });
    controller.abort(new Error("client went away"));
    await expect(read).rejects.toMatchObject({ code: "ABORTED", cause: controller.signal.reason });
  });
});

test("an aborted walk does not wait for the step of the store that is under way", async () => {
  const hanging = overriding(new ModelStore(), (method, original) =>
    method === "scan" ? () => ({ [Symbol.asyncIterator]: () => ({ next: never, return: never }) }) : original,
  );
  const manager = new SessionManager({ store: hanging, sweep: false });
  const controller = new AbortController();
  const walk = manager.byId.scan({ signal: controller.signal }).next();
  controller.abort();
  await expect(walk).rejects.toMatchObject({ code: "ABORTED" });
});

test("behind a write that hangs, no call waits longer than the next one", async () => {
  const { manager, calls } = over("destroy", never, { timeoutMs: 50 });
  const { session } = await manager.create({ data: {} });
  calls.length = 0;
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => session.destroy()));
  const errors = outcomes.map((outcome) => outcome.status === "rejected" && outcome.reason);
  expect(calls.length).toBeLessThanOrEqual(2);
  const [sent, waiting] = [errors.slice(0, calls.length), errors.slice(calls.length)];
  for (const error of sent) expect(error).toMatchObject({ code: "TIMEOUT", outcomeUnknown: true });
  for (const error of waiting) expect(error).toMatchObject({ code: "UNAVAILABLE", outcomeUnknown: false });
});

test("a write whose caller gave up still holds its place before the next", async () => {
  const slow = gate();
  const { manager, calls } = over("touch", async (original) => {
    await slow.opened;
    return original();
  });
  const { session } = await manager.create({ data: {} });
  calls.length = 0;
  const controller = new AbortController();
  const touched = session.touch({ idleMs: 60_000, shorten: true, signal: controller.signal });
  const destroyed = session.destroy();
  controller.abort();
  await expect(touched).rejects.toMatchObject({ code: "ABORTED", outcomeUnknown: true });
  expect(calls).toEqual(["touch"]);
  slow.open();
  expect(await destroyed).toBe(true);
  expect(calls).toEqual(["touch", "destroy"]);
});

describe("reads of one session", () => {
  test("of one tick are one read", async () => {
    const { manager, calls } = setUp();
    const { token } = await manager.create({ data: { a: 1 } });
    calls.length = 0;
    const sessions = await Promise.all(Array.from({ length: 10 }, () => manager.get(token)));
    expect(calls).toEqual(["get"]);
    for (const session of sessions) expect(session?.data).toBe(sessions[0]?.data);
    // Handles are not shared: a write by one handle does not change the data of the others.
    await sessions[0]?.update(() => ({ a: 2 }));
    expect(sessions[1]?.data).toEqual({ a: 1 });
  });

  test("a read that starts after a destroy has resolved does not join an older one", async () => {
    const answer = gate();
    let reads = 0;
    const { manager } = over("get", async (original) => {
      const record = original();
      if (++reads === 1) await answer.opened;
      return record;
    });
    const { token } = await manager.create({ data: {} });
    const before = manager.get(token);
    await vi.waitFor(() => expect(reads).toBe(1));
    await manager.destroy(token);
    expect(await manager.get(token)).toBeUndefined();
    answer.open();
    expect(await before).toBeDefined();
  });

  test("a read that starts when another writer's destroy has resolved does not join an older one", async () => {
    const { manager, store, calls } = setUp();
    const { token, session } = await manager.create({ data: {} });
    calls.length = 0;
    const before = manager.get(token);
    const other = manager.get(token);
    await vi.waitFor(() => expect(calls).toEqual(["get"]));
    await store.destroy(session.id);
    expect(await manager.get(token)).toBeUndefined();
    expect(await before).toBeDefined();
    expect((await other)?.id).toBe(session.id);
  });
});

test("a destroy does not overtake the save before it", async () => {
  const slow = gate();
  const { manager, calls } = over("update", async (original) => {
    await slow.opened;
    return original();
  });
  const { token, session } = await manager.create({ data: {} });
  calls.length = 0;
  const saved = session.save({ a: 1 });
  // The save encodes first; the destroy must wait for it once it has been sent.
  await vi.waitFor(() => expect(calls).toEqual(["update"]));
  const destroyed = manager.destroy(token);
  slow.open();
  expect(await saved).toBe("saved");
  expect(await destroyed).toBe(true);
  expect(calls).toEqual(["update", "destroy"]);
  expect(await manager.get(token)).toBeUndefined();
});

test("every method resolves in the async context of its caller", async () => {
  const context = new AsyncLocalStorage<number>();
  const { manager } = setUp();
  const { token } = await manager.create({ data: { n: 0 } });
  await Promise.all(
    Array.from({ length: 20 }, (_, request) =>
      context.run(request, async () => {
        await manager.get(token);
        expect(context.getStore()).toBe(request);
        await manager.update(token, ({ n }) => ({ n: Number(n) + 1 }));
        expect(context.getStore()).toBe(request);
        await manager.touch(token);
        expect(context.getStore()).toBe(request);
      }),
    ),
  );
});

test("a session that ends between read and touch is not handed out", async () => {
  const { manager, store, clock } = setUp();
  const { token } = await manager.create({ data: {} });
  clock.now += 20 * 60_000;
  const racing = overriding(store, (method, original) => async (...args) => {
    if (method === "touch") await manager.destroy(token);
    return original(...args);
  });
  expect(await new SessionManager({ store: racing, sweep: false }).get(token)).toBeUndefined();
});
