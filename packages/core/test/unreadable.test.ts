import { afterEach, describe, expect, test } from "vitest";
import { z } from "zod";
import {
  jsonCodec,
  type SessionCodec,
  SessionError,
  SessionManager,
  type SessionManagerOptions,
} from "../src/index.js";
import { type Fixture, setUp } from "./support.js";

/** A codec that writes by the first key, whose other key can be taken away, and whose key service can be down. */
const keys = { current: "first:", gone: false, down: false };
afterEach(() => {
  Object.assign(keys, { current: "first:", gone: false, down: false });
});
const codec: SessionCodec = {
  encode: (content) => keys.current + JSON.stringify(content),
  decode: (payload, context) => {
    if (keys.down) throw new SessionError("UNAVAILABLE", "the key service is down");
    if (keys.gone && !payload.startsWith(keys.current)) throw new Error("no such key");
    return jsonCodec.decode(payload.slice(keys.current.length), context);
  },
};
const rotate = (): void => void Object.assign(keys, { current: "other:", gone: true });

interface Unreadable extends Fixture {
  readonly token: string;
  readonly id: string;
  /** Returns the stored record, times included. */
  stored(): Promise<unknown>;
}

/** Over a session that these options cannot read, a manager that answers it as missing. */
const reasons: [string, () => Promise<Unreadable>][] = [
  ["its key is gone", () => unreadable({ codec }, { codec }, rotate)],
  ["a later release has stored it", () => unreadable({ schemaVersion: 2 }, {})],
  ["no upgrade is set", () => unreadable({}, { schemaVersion: 2 })],
  ["it does not match the schema", () => unreadable({}, { schema: z.object({ b: z.string() }), validateOnRead: true })],
  [
    "its payload is malformed",
    () => unreadable({ codec: { ...jsonCodec, encode: () => "{}", decode: () => valid } }, {}),
  ],
];
const valid = { data: {}, metadata: {} };

async function unreadable(
  written: Partial<SessionManagerOptions>,
  read: Partial<SessionManagerOptions>,
  before: () => unknown = () => {},
): Promise<Unreadable> {
  const fixture = setUp(written);
  const { token, session } = await fixture.manager.create({ userId: "42", data: { a: 1 } });
  const { store } = fixture;
  const manager = new SessionManager({ store, sweep: false, ...read, onUnreadable: "missing" });
  before();
  const stored = async (): Promise<unknown> => {
    const { now, ...record } = (await store.get(session.id)) ?? { now: 0 };
    return record;
  };
  return { ...fixture, manager, token, id: session.id, stored };
}

describe.each(reasons)("when %s, a session is answered as missing", (_reason, start) => {
  test("in every method, reported, and left as it is", async () => {
    const { manager, clock, stored, token, id } = await start();
    const before = await stored();
    const errors: unknown[] = [];
    manager.on("error", ({ error, operation, id }) => errors.push([error.code, operation, id]));
    // Late enough for a touch of a session that can be read.
    clock.now += 60_000;
    expect(await manager.get(token)).toBeUndefined();
    expect(errors).toEqual([["DECODE", "get", id]]);
    expect(await manager.update(token, () => ({ b: "fresh" }))).toBeUndefined();
    expect(await manager.touch(token)).toBe(false);
    expect(await manager.regenerate(token)).toBeUndefined();
    expect(await manager.regenerate(token, { userId: "43", update: () => ({ b: "fresh" }) })).toBeUndefined();
    expect(await manager.byId.create(id, { data: { b: "fresh" } })).toBeUndefined();
    expect(await manager.listByUser("42")).toEqual([]);
    expect(await stored()).toEqual(before);
    expect((await manager.stats()).misses).toBe(3);
  });

  test("unless one call passes onUnreadable: fail", async () => {
    const { manager, token } = await start();
    const asked = manager.get(token, { onUnreadable: "fail" });
    const other = manager.get(token);
    await expect(asked).rejects.toMatchObject({ code: "DECODE" });
    expect(await other).toBeUndefined();
  });

  test("but ends as any other session", async () => {
    const { manager, token, id } = await start();
    expect(await manager.destroyByUser("42")).toEqual([id]);
    expect(await manager.destroy(token)).toBe(false);
  });
});

test("a key that comes back brings the session back", async () => {
  const { manager, token } = await unreadable({ codec }, { codec }, rotate);
  expect(await manager.get(token)).toBeUndefined();
  keys.gone = false;
  expect((await manager.get(token))?.data).toEqual({ a: 1 });
});

test("a session that another release writes while it is saved counts as ended, and keeps the other release's data", async () => {
  const { manager, store } = setUp({ onUnreadable: "missing" });
  const later = new SessionManager({ store, sweep: false, schemaVersion: 2, upgrade: (data) => ({ ...data }) });
  const { token, session } = await manager.create({ data: { a: 1 } });
  const renaming = manager.regenerate(token, {
    update: async (data) => {
      await later.update(token, (current) => ({ ...current, b: 2 }));
      return data;
    },
  });
  expect(await renaming).toBeUndefined();
  const conflicts: string[] = [];
  manager.on("conflict", ({ reason }) => conflicts.push(reason));
  expect(await session.save({ a: 3 })).toBe("ended");
  expect(await session.update(() => ({ a: 3 }))).toBe(false);
  expect(conflicts).toEqual(["ended", "ended"]);
  expect((await later.get(token))?.data).toEqual({ a: 1, b: 2 });
});

test("an error for another reason never counts as missing", async () => {
  const { manager, token, store } = await unreadable({ codec }, { codec }, () => Object.assign(keys, { down: true }));
  await expect(manager.get(token)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await expect(manager.regenerate(token)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  for (const code of ["CORRUPT", "TIMEOUT", "BACKEND"] as const) {
    store.get = () => Promise.reject(new SessionError(code, "from the store"));
    await expect(manager.get(token)).rejects.toMatchObject({ code });
  }
});

test("an unknown policy is refused", async () => {
  const onUnreadable = "ignore" as "fail";
  const refused = { code: "INVALID_OPTION", message: expect.stringContaining('"onUnreadable"') };
  expect(() => setUp({ onUnreadable })).toThrow(expect.objectContaining(refused));
  const { manager } = setUp();
  const { token } = await manager.create({ data: {} });
  await expect(manager.get(token, { onUnreadable })).rejects.toMatchObject(refused);
});
