import { describe, expect, test, vi } from "vitest";
import { jsonCodec, type SessionCodec, SessionError } from "../src/index.js";
import { setUp } from "./support.js";

describe("data that a reader could not decode", () => {
  test("is ENCODE before anything is sent, and the session keeps its token and data", async () => {
    let isBroken = false;
    const decode: SessionCodec["decode"] = (payload, context) => {
      if (isBroken) throw new Error("the key is gone");
      return jsonCodec.decode(payload, context);
    };
    const { manager, calls } = setUp({ codec: { ...jsonCodec, decode } });
    const { token, session } = await manager.create({ data: { a: 1 } });
    calls.length = 0;
    isBroken = true;
    await expect(session.update(() => ({ a: 2 }))).rejects.toMatchObject({ code: "ENCODE" });
    await expect(manager.create({ data: {} })).rejects.toMatchObject({ code: "ENCODE" });
    await expect(manager.regenerate(token)).rejects.toMatchObject({ code: "DECODE" });
    expect(calls).toEqual(["get"]);
    isBroken = false;
    expect(await manager.get(token)).toMatchObject({ data: { a: 1 }, version: 1 });
  });

  test("is ENCODE also where its JSON is no object", async () => {
    const { manager, calls } = setUp();
    const date = new Date() as unknown as Record<string, unknown>;
    await expect(manager.create({ data: date })).rejects.toMatchObject({ code: "ENCODE" });
    expect(calls).toEqual([]);
    const { token, session } = await manager.create({ data: { kept: true } });
    await expect(session.save(date)).rejects.toMatchObject({ code: "ENCODE" });
    expect((await manager.get(token))?.data).toEqual({ kept: true });
  });

  test("is ENCODE where it cannot be frozen", async () => {
    const { manager } = setUp({
      codec: { ...jsonCodec, decode: () => ({ data: { bytes: new Uint8Array(1) }, metadata: {} }) },
    });
    await expect(manager.create({ data: {} })).rejects.toMatchObject({ code: "ENCODE" });
  });
});

test.each([
  '{"__proto__":{"admin":true},"a":1}',
  '{"\\u005f_proto__":{"admin":true},"a":1}',
  '{"b":{"constructor":{"prototype":{"admin":true}}},"a":1}',
  '{"b":{"construct\\u006fr":{"\\u0070rototype":{"admin":true}}},"a":1}',
  '\uFEFF{"__pr\\u006fto__":{"admin":true},"a":1}',
])("keys of %s that could reach a prototype are left out, however they are spelt", (payload) => {
  const decoded = jsonCodec.decode(payload, { id: "id", userId: undefined });
  expect(decoded).toMatchObject({ a: 1 });
  expect(JSON.stringify(decoded)).not.toContain("admin");
});

test("a codec that binds a payload to its id and user reads it after each change of both", async () => {
  const binding: SessionCodec = {
    encode: (content, context) => JSON.stringify({ content, ...context }),
    decode: (payload, { id, userId }) => {
      const bound = JSON.parse(payload) as { id: string; userId?: string; content: unknown };
      if (bound.id !== id || bound.userId !== userId) throw new Error("the payload of another session");
      return bound.content;
    },
  };
  const { manager } = setUp({ codec: binding });
  const { token } = await manager.create({ data: { a: 1 } });
  const login = await manager.regenerate(token, { userId: "42" });
  expect(login?.session).toMatchObject({ userId: "42", data: { a: 1 } });
  const again = await manager.regenerate(login?.token ?? "");
  expect((await manager.get(again?.token ?? ""))?.data).toEqual({ a: 1 });
  expect(await again?.session.update((data) => data, { userId: null })).toBe(true);
  expect((await manager.get(again?.token ?? ""))?.data).toEqual({ a: 1 });
});

test("the message of a codec's error may contain data: it is only in the cause", async () => {
  const codec = {
    ...jsonCodec,
    encode: () => {
      throw new Error("cannot encode hunter2");
    },
  };
  const error: unknown = await setUp({ codec })
    .manager.create({ data: {} })
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "ENCODE", cause: { message: "cannot encode hunter2" } });
  expect(String(error)).not.toContain("hunter2");
});

test("a payload that nests deeper than the stack reaches is read like any other", async () => {
  const { manager, store } = setUp();
  const depth = 50_000;
  const payload = `{"data":{"a":${"[".repeat(depth)}${"]".repeat(depth)}},"metadata":{}}`;
  await store.create({ id: "deep", userId: "42", payload, idleMs: 60_000, absoluteMs: 60_000 });
  expect((await manager.listByUser("42")).map(({ id }) => id)).toEqual(["deep"]);
});

test.each(["0", '"1h"', "1.5", "null"])("a payload with an idle timeout of %s is DECODE", async (idleMs) => {
  const { manager, store } = setUp();
  const payload = `{"data":{},"metadata":{},"idleMs":${idleMs}}`;
  await store.create({ id: "foreign", payload, idleMs: 60_000, absoluteMs: 60_000 });
  await expect(manager.byId.get("foreign")).rejects.toMatchObject({ code: "DECODE" });
});

test("a payload that cannot be read is an error event, in every method that reads it", async () => {
  const { manager, store } = setUp();
  const errors = vi.fn();
  manager.on("error", errors);
  await store.create({ id: "foreign", userId: "42", payload: "not json", idleMs: 60_000, absoluteMs: 60_000 });
  await expect(manager.byId.get("foreign")).rejects.toMatchObject({ code: "DECODE" });
  await expect(manager.byId.rename("foreign", "other")).rejects.toMatchObject({ code: "DECODE" });
  expect(errors.mock.calls.map(([{ operation, error }]) => [operation, error.code])).toEqual([
    ["get", "DECODE"],
    ["get", "DECODE"],
  ]);
  expect(await store.get("foreign")).toMatchObject({ payload: "not json" });
});

test("a codec's own SessionError passes unchanged in both directions: a key service that is down is no unreadable session", async () => {
  const error = new SessionError("UNAVAILABLE", "the key service is down");
  let isDown = false;
  const throwIfDown = <T>(value: T): T => {
    if (isDown) throw error;
    return value;
  };
  const { manager } = setUp({
    codec: {
      encode: (content, context) => jsonCodec.encode(content, context),
      decode: (payload, context) => throwIfDown(jsonCodec.decode(payload, context)),
    },
  });
  const { token, session } = await manager.create({ data: {} });
  isDown = true;
  await expect(manager.get(token)).rejects.toBe(error);
  await expect(session.update(() => ({ a: 1 }))).rejects.toBe(error);
  const encoding = setUp({ codec: { ...jsonCodec, encode: () => throwIfDown("") } });
  await expect(encoding.manager.create({ data: {} })).rejects.toBe(error);
});
