import { describe, expect, test } from "vitest";
import { jsonCodec, SessionManager } from "../src/index.js";
import { hour, minute, setUp } from "./support.js";

describe("authenticatedAt", () => {
  test("is the time of the create or regenerate with authenticated, by the store's clock", async () => {
    const { manager, clock } = setUp();
    const { token, session } = await manager.create({ userId: "42", data: {}, authenticated: true });
    expect(session.authenticatedAt).toBe(session.createdAt);
    clock.now += 10 * minute;
    expect(await manager.get(token)).toMatchObject({ authenticatedAt: session.createdAt });
    const fresh = await manager.regenerate(token, { authenticated: true });
    const proven = session.createdAt + 10 * minute;
    expect(fresh?.session.authenticatedAt).toBeGreaterThanOrEqual(proven);
    expect(fresh?.session.authenticatedAt).toBeLessThan(proven + minute);
    expect((await manager.get(fresh?.token ?? ""))?.authenticatedAt).toBe(fresh?.session.authenticatedAt);
    expect(JSON.parse(JSON.stringify(fresh?.session))).toMatchObject({
      authenticatedAt: fresh?.session.authenticatedAt,
    });
  });

  test("is set by a login, which may change the data in the same step", async () => {
    const { manager, calls } = setUp();
    const { token, session } = await manager.create({ data: { cart: ["a"] } });
    expect(session.authenticatedAt).toBeUndefined();
    calls.length = 0;
    const login = await manager.regenerate(token, { userId: "42", authenticated: true });
    expect(calls).toEqual(["get", "rename"]);
    expect(login?.session).toMatchObject({ userId: "42", data: { cart: ["a"] }, authenticatedAt: expect.any(Number) });
    const again = await manager.regenerate(login?.token ?? "", { update: () => ({ n: 1 }), authenticated: true });
    expect(again?.session).toMatchObject({ data: { n: 1 }, authenticatedAt: expect.any(Number) });
  });

  test("stays through writes, saves after a conflict, touches and further regenerations", async () => {
    const { manager, clock } = setUp();
    const { token, session } = await manager.create({ userId: "42", data: {}, authenticated: true });
    const { authenticatedAt } = session;
    await manager.update(token, (data) => ({ ...data, a: 1 }));
    await session.save({ b: 1 });
    clock.now += 10 * minute;
    await manager.touch(token);
    expect(session).toMatchObject({ data: { a: 1, b: 1 }, authenticatedAt });
    const blind = await manager.regenerate(token);
    const read = await manager.regenerate(blind?.token ?? "", { update: (data) => ({ ...data, c: 1 }) });
    expect(blind?.session.authenticatedAt).toBe(authenticatedAt);
    expect(read?.session.authenticatedAt).toBe(authenticatedAt);
  });

  test.each([
    ["given to another user", { userId: "43" }],
    ["logged out of", { userId: null }],
  ])("is undefined once the session is %s, by any kind of write", async (_name, change) => {
    for (const codec of [jsonCodec, { ...jsonCodec }]) {
      for (const update of [undefined, (data: object) => ({ ...data, a: 1 })]) {
        const { manager } = setUp({ codec });
        const { token } = await manager.create({ userId: "42", data: {}, authenticated: true });
        const other = await manager.regenerate(token, { ...change, ...(update && { update }) });
        expect(other?.session).toMatchObject({ userId: change.userId ?? undefined });
        expect(other?.session.authenticatedAt).toBeUndefined();
        expect((await manager.get(other?.token ?? ""))?.authenticatedAt).toBeUndefined();
      }
    }
    const { manager, store } = setUp();
    const { session } = await manager.create({ userId: "42", data: {}, authenticated: true });
    await session.update((data) => ({ ...data, a: 1 }), change);
    expect(session.authenticatedAt).toBeUndefined();
    expect((await store.get(session.id))?.payload).toBe('{"data":{"a":1},"metadata":{}}');
  });

  test.each([null, "43"])(
    "does not come back with its user, when the session belonged to %j in between",
    async (between) => {
      const { manager } = setUp();
      const { token } = await manager.create({ userId: "42", data: {}, authenticated: true });
      const other = await manager.regenerate(token, { userId: between });
      const back = await manager.regenerate(other?.token ?? "", { userId: "42" });
      expect(back?.session.userId).toBe("42");
      expect(back?.session.authenticatedAt).toBeUndefined();
      expect(back?.session.isFresh("100d")).toBe(false);
    },
  );

  test("needs a user: without one the call writes nothing", async () => {
    const { manager, calls } = setUp();
    const refused = { code: "INVALID_ARGUMENT", message: expect.stringContaining('"authenticated"') };
    await expect(manager.create({ data: {}, authenticated: true })).rejects.toMatchObject(refused);
    const { token } = await manager.create({ data: {} });
    const known = await manager.create({ userId: "42", data: {} });
    calls.length = 0;
    await expect(manager.regenerate(token, { authenticated: true })).rejects.toMatchObject(refused);
    const logout = manager.regenerate(known.token, { userId: null, authenticated: true });
    await expect(logout).rejects.toMatchObject(refused);
    expect(calls).toEqual(["get", "get"]);
  });

  test("does not depend on the clock of any process", async () => {
    const { manager, store, clock } = setUp();
    clock.now += 5 * hour;
    const { token } = await manager.create({ userId: "42", data: {}, authenticated: true });
    clock.now += 10 * minute;
    const elsewhere = new SessionManager({ store, sweep: false });
    expect((await elsewhere.get(token))?.authenticatedAt).toBe(clock.now - 10 * minute);
  });
});

describe("isFresh", () => {
  test("is true if the user authenticated no longer ago than the given time", async () => {
    const { manager, clock } = setUp();
    const { token, session } = await manager.create({ userId: "42", data: {}, authenticated: true });
    expect(session.isFresh("5m")).toBe(true);
    clock.now += 5 * minute - 1000;
    expect((await manager.get(token))?.isFresh("5m")).toBe(true);
    expect((await manager.get(token))?.isFresh(4 * minute)).toBe(false);
    clock.now += 1000;
    expect((await manager.get(token))?.isFresh("5m")).toBe(false);
    const fresh = await manager.regenerate(token, { authenticated: true });
    expect(fresh?.session.isFresh("5m")).toBe(true);
  });

  test("is false without any authentication, and refuses a value that is no duration", async () => {
    const { session } = await setUp().manager.create({ userId: "42", data: {} });
    expect(session.isFresh("100d")).toBe(false);
    const refused = expect.objectContaining({ code: "INVALID_OPTION" });
    for (const maxAge of [-1, Number.NaN, "5 parsecs"] as const) expect(() => session.isFresh(maxAge)).toThrow(refused);
  });
});

test.each([
  null,
  "42",
  {},
  { userId: 42, afterMs: 0 },
  { userId: "42" },
  { userId: "42", afterMs: -1 },
  { userId: "42", afterMs: 1.5 },
])("a payload whose mark is %j is malformed", async (authenticated) => {
  const decode = () => ({ data: {}, metadata: {}, authenticated });
  const { manager, store } = setUp();
  const { token } = await manager.create({ userId: "42", data: {} });
  const reader = new SessionManager({ store, sweep: false, codec: { ...jsonCodec, decode } });
  await expect(reader.get(token)).rejects.toMatchObject({ code: "DECODE" });
});

test("a regeneration with authenticated leaves the old token dead, also under a grace", async () => {
  const { manager } = setUp({ regenerationGrace: "10s" });
  const { token } = await manager.create({ userId: "42", data: {} });
  const fresh = await manager.regenerate(token, { authenticated: true });
  expect(await manager.get(token)).toBeUndefined();
  const asked = await manager.regenerate(fresh?.token ?? "", { authenticated: true, grace: true });
  expect((await manager.get(fresh?.token ?? ""))?.authenticatedAt).toBe(asked?.session.authenticatedAt);
});
