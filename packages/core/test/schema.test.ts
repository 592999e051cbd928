import { inspect } from "node:util";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { isSessionError, SessionManager, type SessionManagerOptions } from "../src/index.js";
import { setUp } from "./support.js";

const zodCart = z.object({ cart: z.array(z.string()).default([]), note: z.string().max(5).optional() });
const valibotCart = v.objectAsync({
  cart: v.optional(v.array(v.string()), []),
  note: v.optionalAsync(
    v.pipeAsync(
      v.string(),
      v.checkAsync(async (note) => note.length <= 5),
    ),
  ),
});

/** The same schema twice: once synchronous, once not. */
const schemas: [string, SessionManagerOptions["schema"]][] = [
  ["zod", zodCart],
  ["valibot, asynchronous", valibotCart],
];

describe.each(schemas)("a schema by %s", (_name, schema) => {
  test("refuses data that does not match before anything is sent, in every method that writes", async () => {
    const { manager, calls } = setUp({ schema });
    const { token, session } = await manager.create({ data: { cart: ["a"] } });
    const loaded = await manager.get(token);
    calls.length = 0;
    const refused = { code: "INVALID_DATA", retryable: false };
    const bad = { cart: ["a", 7], note: "too long" };
    await expect(manager.create({ data: bad })).rejects.toMatchObject(refused);
    await expect(session.update(() => bad)).rejects.toMatchObject(refused);
    await expect(loaded?.save(bad)).rejects.toMatchObject(refused);
    await expect(manager.regenerate(token, { update: () => bad })).rejects.toMatchObject(refused);
    expect(calls).toEqual(["get"]);
    expect(await manager.get(token)).toMatchObject({ data: { cart: ["a"] }, version: 1 });
  });

  test("stores its output: defaults are filled in, keys that it does not know are left out", async () => {
    const { manager, store } = setUp({ schema });
    const { token, session } = await manager.create({ data: { unknown: true } });
    expect(session.data).toEqual({ cart: [] });
    expect((await store.get(session.id))?.payload).toBe('{"data":{"cart":[]},"metadata":{}}');
    expect((await manager.update(token, () => ({ note: "short" })))?.data).toEqual({ cart: [], note: "short" });
  });

  test("validates the merged data, not its parts", async () => {
    const { manager } = setUp({ schema });
    const { token, session } = await manager.create({ data: { note: "a" } });
    const other = await manager.get(token);
    expect(await other?.save({ cart: ["theirs"], note: "a" })).toBe("saved");
    expect(await session.save({ cart: [], note: "mine" })).toBe("saved");
    expect(session.data).toEqual({ cart: ["theirs"], note: "mine" });
    await expect(session.save({ ...session.data, note: "too long" })).rejects.toMatchObject({ code: "INVALID_DATA" });
    expect((await manager.get(token))?.data).toEqual({ cart: ["theirs"], note: "mine" });
  });
});

test("a merge of two valid saves that does not match is refused, and nothing is written", async () => {
  const schema = z.looseObject({}).refine(({ a, b }) => a === undefined || b === undefined, "one of them");
  const { manager } = setUp({ schema });
  const { token, session } = await manager.create({ data: {} });
  await (await manager.get(token))?.save({ a: 1 });
  await expect(session.save({ b: 1 })).rejects.toMatchObject({ code: "INVALID_DATA" });
  expect(await manager.get(token)).toMatchObject({ data: { a: 1 }, version: 2 });
});

describe("INVALID_DATA", () => {
  test("has the paths in its message, and the issues in a member that is not enumerable", async () => {
    const schema = z.object({ user: z.object({ password: z.enum(["a"]) }), list: z.array(z.number()) });
    const { manager } = setUp({ schema });
    const data = { user: { password: "hunter2" }, list: [1, "hunter2"] };
    const error: unknown = await manager.create({ data }).catch((reason: unknown) => reason);
    if (!isSessionError(error)) throw new Error("expected a SessionError");
    expect(error.message).toBe('@sojourn/core: session data does not match the schema at "user.password", "list.1"');
    expect(error.issues?.map(({ path }) => path)).toEqual([
      ["user", "password"],
      ["list", 1],
    ]);
    expect(error.issues?.[0]?.message).toContain("expected");
    expect(inspect(error)).not.toMatch(/hunter2|issues/);
    expect(JSON.stringify(error)).not.toMatch(/hunter2|issues/);
  });

  test("has a short message for any number of issues", async () => {
    const { manager } = setUp({ schema: z.record(z.string(), z.number()) });
    const data = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`${index}${"k".repeat(1000)}`, ""]));
    const error: unknown = await manager.create({ data }).catch((reason: unknown) => reason);
    expect((error as Error).message).toMatch(/a string of 1001 characters.* and 15 more$/);
    expect((error as Error).message.length).toBeLessThan(300);
    await expect(setUp({ schema: z.looseObject({}).refine(() => false) }).manager.create({ data })).rejects.toThrow(
      "at its top level",
    );
  });

  test("is the error of a schema that fails, with its cause, or that returns no object", async () => {
    const cause = new Error("quotes hunter2");
    const failing = z.looseObject({}).refine(() => {
      throw cause;
    });
    const error: unknown = await setUp({ schema: failing })
      .manager.create({ data: {} })
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "INVALID_DATA", cause });
    expect((error as Error).message).not.toContain("hunter2");
    // Past the types, which ask for an object.
    const schema = z.looseObject({}).transform(() => "text") as unknown as SessionManagerOptions["schema"];
    await expect(setUp({ schema }).manager.create({ data: {} })).rejects.toMatchObject({ code: "INVALID_DATA" });
  });
});

describe("validateOnRead", () => {
  test("off, a session stored before the schema changed reads as it is, and is refused when it is written", async () => {
    const { manager, store } = setUp();
    const { token } = await manager.create({ data: { cart: "not a list" } });
    const later = new SessionManager({ store, sweep: false, schema: zodCart });
    const session = await later.get(token);
    expect(session?.data).toEqual({ cart: "not a list" });
    await expect(session?.update((data) => ({ ...data, note: "a" }))).rejects.toMatchObject({ code: "INVALID_DATA" });
  });

  test("on, it is DECODE, with the schema's error as its cause", async () => {
    const { manager, store } = setUp();
    const { token } = await manager.create({ data: { cart: "not a list" } });
    const later = new SessionManager({ store, sweep: false, schema: zodCart, validateOnRead: true });
    const error = { code: "DECODE", cause: expect.objectContaining({ code: "INVALID_DATA" }) };
    await expect(later.get(token)).rejects.toMatchObject(error);
    expect((await manager.get(token))?.data).toEqual({ cart: "not a list" });
  });

  test("on, it fills in defaults, frozen, without freezing the application's own", async () => {
    const defaults = { colours: ["red"] };
    const { manager, store } = setUp();
    const { token } = await manager.create({ data: {} });
    const schema = z.object({ theme: z.object({ colours: z.array(z.string()) }).default(defaults) });
    const later = new SessionManager({ store, sweep: false, schema, validateOnRead: true });
    const session = await later.get(token);
    expect(session?.data).toEqual({ theme: { colours: ["red"] } });
    expect(Object.isFrozen(session?.data.theme.colours)).toBe(true);
    expect(Object.isFrozen(defaults.colours)).toBe(false);
  });

  test("on, a schema that does not accept its own output is found by the first write", async () => {
    const schema = z.object({ at: z.string().transform(Number) });
    const { manager, calls } = setUp({ schema, validateOnRead: true });
    await expect(manager.create({ data: { at: "7" } })).rejects.toMatchObject({ code: "ENCODE" });
    expect(calls).toEqual([]);
  });
});

test.each([
  ["schema", { schema: {} }],
  ["schema", { schema: "object" }],
  ["validateOnRead", { validateOnRead: true }],
  ["validateOnRead", { schema: zodCart, validateOnRead: "yes" }],
  ["schemaVersion", { schemaVersion: 0 }],
  ["schemaVersion", { schemaVersion: 1.5 }],
  ["upgrade", { upgrade: {} }],
])("option %s is refused when it is wrong", (option, options) => {
  // Past the types, as from JavaScript.
  expect(() => setUp(options as unknown as Partial<SessionManagerOptions>)).toThrow(
    expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining(`"${option}"`) }),
  );
});
