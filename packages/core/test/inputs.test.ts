import { describe, expect, test } from "vitest";
import { SessionManager, tokenToId, type UserId } from "../src/index.js";
import { setUp } from "./support.js";

/** What JavaScript passes, past the compiler. */
const input = (value: unknown): never => value as never;

describe("unknown keys in the input of a call", () => {
  const { manager, calls } = setUp();
  const token = "a".repeat(43);
  const same = (data: object) => data as never;

  test.each<[string, () => Promise<unknown>, string]>([
    ["create", () => manager.create(input({ userID: "42" })), "userId"],
    ["create", () => manager.create(input({ ttl: 3600 })), "idleTimeout"],
    ["create", () => manager.byId.create("a", input({ datas: {} })), "data"],
    ["get", () => manager.get(token, input({ tuch: false })), "touch"],
    ["get", () => manager.get("no token", input({ tuch: false })), "touch"],
    ["get", () => manager.byId.get("a", input({ Fresh: true })), "fresh"],
    ["update", () => manager.update(token, same, input({ userid: "42" })), "userId"],
    ["touch", () => manager.touch(token, input({ shorter: true })), "shorten"],
    ["regenerate", () => manager.regenerate(token, input({ userID: "42" })), "userId"],
    ["regenerate", () => manager.byId.rename("a", "b", input({ authenticate: true })), "authenticated"],
    ["locate", () => manager.byId.locate("a", input({ timeoutMS: 5 })), "timeoutMs"],
    ["destroy", () => manager.destroy(token, input({ timeout: 5 })), "timeoutMs"],
    ["destroy", () => manager.destroyById("a", input({ signals: 5 })), "signal"],
    ["listByUser", () => manager.listByUser("42", input({ timeoutMS: 5 })), "timeoutMs"],
    ["exportUser", () => manager.exportUser("42", input({ timeoutMS: 5 })), "timeoutMs"],
    ["destroyByUser", () => manager.destroyByUser("42", input({ exept: token })), "except"],
    ["destroyByUser", () => manager.byId.destroyByUser("42", input({ keep: "a" })), "except"],
    ["stats", () => manager.stats(input({ timeoutMS: 5 })), "timeoutMs"],
    ["scan", () => manager.byId.scan(input({ timeoutMS: 5 })).next(), "timeoutMs"],
    ["count", () => manager.byId.count(input({ timeoutMS: 5 })), "timeoutMs"],
    ["clear", () => manager.byId.clear(input({ timeoutMS: 5 })), "timeoutMs"],
  ])("%s refuses them before the store, and names %#", async (method, call, nearest) => {
    await expect(call()).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(`^@sojourn/core: ${method}: unknown key .*; did you mean "${nearest}"\\?`),
    });
    expect(calls).toEqual([]);
  });

  test("a loaded session refuses them", async () => {
    const { session } = await setUp().manager.create();
    for (const call of [
      () => session.update(same, input({ userID: 42 })),
      () => session.save({}, input({ onConflicts: "fail" })),
      () => session.touch(input({ idleMS: 5 })),
      () => session.destroy(input({ timeout: 5 })),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("mean"),
      });
    }
  });

  test.each<[string, unknown, string]>([
    ["null", null, "must be an object, received null"],
    ["a token", token, "must be an object, received a string"],
    ["a callback", () => {}, "received a function: the method takes no callback and returns a promise"],
  ])("%s in the place of an input is refused and not shown", async (_name, value, message) => {
    for (const call of [
      () => manager.create(input(value)),
      () => manager.get(token, input(value)),
      () => manager.destroy("no token", input(value)),
      () => manager.destroyByUser("42", input(value)),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(message),
      });
    }
    expect(calls).toEqual([]);
  });
});

test("a promise in the place of a token is refused: an await is missing", async () => {
  const { manager } = setUp();
  const token = input(Promise.resolve("a".repeat(43)));
  for (const call of [
    () => manager.get(token),
    () => manager.update(token, (data) => data),
    () => manager.touch(token),
    () => manager.regenerate(token),
    () => manager.destroy(token),
  ]) {
    await expect(call()).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("await") });
  }
});

test("create without data makes an anonymous, empty session, if the schema allows it", async () => {
  const { manager, store } = setUp();
  const { token, session } = await manager.create();
  expect(session).toMatchObject({ data: {}, userId: undefined });
  expect(await manager.get(token)).toMatchObject({ data: {} });
  const cart = { "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "no cart" }] }) } };
  const strict = new SessionManager({ store, schema: cart as never });
  await expect(strict.create()).rejects.toMatchObject({ code: "INVALID_DATA" });
});

describe("user ids", () => {
  test.each<[UserId, string]>([
    [42, "42"],
    [42n, "42"],
    ["42", "42"],
    [0, "0"],
    [-0, "0"],
    [-7, "-7"],
    [Number.MAX_SAFE_INTEGER, "9007199254740991"],
    [2n ** 64n, "18446744073709551616"],
  ])("%s is %j in every call", async (userId, text) => {
    const { manager } = setUp();
    const created = await manager.create({ userId });
    expect(created.session.userId).toBe(text);
    const anonymous = await manager.create();
    const login = await manager.regenerate(anonymous.token, { userId, authenticated: true });
    expect(login?.session.userId).toBe(text);
    expect(login?.session.isFresh("1m")).toBe(true);
    const updated = await manager.create();
    await manager.update(updated.token, (data) => ({ ...data }), { userId });
    const saved = await manager.create();
    await saved.session.save({ a: 1 }, { userId });
    expect(await manager.listByUser(userId)).toHaveLength(4);
    expect(await manager.listByUser(text)).toHaveLength(4);
    expect(await manager.exportUser(userId)).toMatchObject({ userId: text });
    expect(await manager.destroyByUser(userId)).toHaveLength(4);
  });

  test.each([Number.NaN, 1.5, Number.POSITIVE_INFINITY, 2 ** 53])("%s is refused", async (userId) => {
    const { manager, calls } = setUp();
    const { token, session } = await manager.create();
    calls.length = 0;
    for (const call of [
      () => manager.create({ userId }),
      () => session.update((data) => data, { userId }),
      () => session.save({}, { userId }),
      () => manager.regenerate(token, { userId }),
      () => manager.listByUser(userId),
      () => manager.destroyByUser(userId),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(`a safe integer, received ${userId}`),
      });
    }
    expect(calls).toEqual([]);
  });

  test("the same number is no change of user, and keeps the grace", async () => {
    const { manager } = setUp({ regenerationGrace: "10s" });
    const { token } = await manager.create({ userId: 42 });
    await manager.regenerate(token, { userId: 42 });
    expect(await manager.get(token)).toMatchObject({ isSuperseded: true, userId: "42" });
  });
});

describe.each([{}, { regenerationGrace: "10s" as const }])("except, with %o", (options) => {
  test.each(["token", "id"] as const)("takes the %s of a session", async (kind) => {
    const { manager } = setUp(options);
    const kept = await manager.create({ userId: "42" });
    const other = await manager.create({ userId: "42" });
    const except = kind === "token" ? kept.token : kept.session.id;
    expect(await manager.destroyByUser("42", { except })).toEqual([other.session.id]);
    expect(await manager.get(kept.token)).toMatchObject({ id: tokenToId(kept.token) });
  });

  test.each(["", "a".repeat(42), "no token", 42, null])(
    "refuses %j: a mistake must not end all sessions",
    async (except) => {
      const { manager } = setUp(options);
      await manager.create({ userId: "42" });
      await expect(manager.destroyByUser("42", { except: input(except) })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
      expect(await manager.listByUser("42")).toHaveLength(1);
    },
  );
});
