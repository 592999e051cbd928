import { ModelStore } from "@sojourn/testkit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { jsonCodec, SessionManager, type SessionManagerOptions } from "../src/index.js";
import { setUp } from "./support.js";

// Throughout: what JavaScript callers and cookie parsers may pass, past the compiler.
const asToken = (value: unknown): string => value as string;

describe("options", () => {
  test.each<[string, object, RegExp]>([
    ["no store", { store: undefined }, /option "store" must be a SessionStore, received undefined/],
    [
      "an unknown option",
      { idleTimeoutMs: 5 },
      /unknown option "idleTimeoutMs"; did you mean "idleTimeout"\? The options are store, idleTimeout/,
    ],
    ["a wrong unit", { idleTimeout: "30 parsecs" }, /option "idleTimeout" must be a duration .* received "30 parsecs"/],
    ["NaN", { absoluteTimeout: Number.NaN }, /option "absoluteTimeout" .* received NaN/],
    ["a negative timeout", { idleTimeout: -1 }, /option "idleTimeout" .* received -1/],
    [
      "idle longer than absolute",
      { idleTimeout: "2d", absoluteTimeout: "1d" },
      /"idleTimeout" must be at most .* received "2d"/,
    ],
    [
      "idle longer than the default absolute",
      { idleTimeout: "2d" },
      /at most the absolute timeout, which is 12h unless "absoluteTimeout" is set, received "2d"/,
    ],
    ["seconds of another library", { ttl: 3600 }, /unknown option "ttl"; did you mean "idleTimeout"\? The options/],
    ["touchAfter as long as idle", { touchAfter: "30m" }, /option "touchAfter" must be less than .* received "30m"/],
    [
      "an unknown policy",
      { onConflict: "panic" },
      /option "onConflict" must be "merge", "fail" or "overwrite", received "panic"/,
    ],
    ["a limit of nothing", { sessionLimit: { max: 0, whenReached: "reject" } }, /"sessionLimit.max" .* received 0/],
    [
      "an unknown limit policy",
      { sessionLimit: { max: 1, whenReached: "x" } },
      /"sessionLimit.whenReached" .* received "x"/,
    ],
    ["half a codec", { codec: { encode: String } }, /option "codec" must be an object with encode and decode/],
    ["a timeout of 0", { timeoutMs: 0 }, /option "timeoutMs" must be a positive integer, received 0/],
    ["an unknown sweep option", { sweep: { every: "1m" } }, /unknown option "every"/],
    ["a wrong sweep interval", { sweep: { interval: "soon" } }, /option "sweep.interval" must be .* received "soon"/],
    ["a sweep of nothing", { sweep: { batchSize: 0 } }, /option "sweep.batchSize" must be .* received 0/],
    ["a store without capabilities", { store: { get: String, capabilities: null } }, /"store" must be a SessionStore/],
  ])("%s is refused", (_name, options, message) => {
    expect(() => new SessionManager({ store: new ModelStore(), ...options } as SessionManagerOptions)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringMatching(message) }),
    );
  });

  test("an invalid sweep is refused also for a store that needs none", () => {
    const store = Object.create(new ModelStore(), {
      capabilities: { value: { expiry: "native", maxPayloadBytes: 1 } },
    });
    expect(() => new SessionManager({ store, sweep: { interval: "soon" as "1m" } })).toThrow(/sweep.interval/);
  });

  test("a URL in the place of a store or of the options is not shown: it may hold a password", () => {
    const url = "redis://user:hunter2@localhost" as unknown;
    for (const options of [url, { store: url }]) {
      expect(() => new SessionManager(options as SessionManagerOptions)).toThrow(
        expect.objectContaining({ code: "INVALID_OPTION", message: expect.not.stringContaining("hunter2") }),
      );
    }
  });

  test("a short absolute timeout alone shortens the default idle timeout", async () => {
    const { manager } = setUp({ absoluteTimeout: "10m" });
    const { session } = await manager.create({ data: {} });
    expect(session.expiresAt).toBe(session.endsAt);
  });

  test("an unknown policy of one save is refused", async () => {
    const { manager } = setUp();
    const { session } = await manager.create({ data: {} });
    const onConflict = "panic" as "merge";
    await expect(session.save({ a: 1 }, { onConflict })).rejects.toMatchObject({ code: "INVALID_OPTION" });
  });

  test("of one session are checked as those of the manager are", async () => {
    const { manager, calls } = setUp();
    await expect(manager.create({ data: {}, idleTimeout: "2d" })).rejects.toMatchObject({ code: "INVALID_OPTION" });
    expect(calls).toEqual([]);
  });
});

describe("tokens", () => {
  test("a malformed one is a miss in every method and never reaches the store", async () => {
    const { manager, calls } = setUp();
    const malformed: unknown[] = [
      undefined,
      null,
      42,
      {},
      ["a".repeat(43)],
      "",
      "a".repeat(10_240),
      `${"a".repeat(42)}\0`,
      "a\r\nb",
    ];
    for (const token of malformed.map(asToken)) {
      expect(await manager.get(token)).toBeUndefined();
      expect(await manager.update(token, (data) => data)).toBeUndefined();
      expect(await manager.touch(token)).toBe(false);
      expect(await manager.regenerate(token)).toBeUndefined();
      expect(await manager.destroy(token)).toBe(false);
    }
    expect(calls).toEqual([]);
  });

  test("an unknown token is never adopted, and an id is no token", async () => {
    const { manager, calls } = setUp();
    const { session } = await manager.create({ data: {} });
    calls.length = 0;
    expect(await manager.get("a".repeat(43))).toBeUndefined();
    expect(await manager.get(session.id)).toBeUndefined();
    expect(calls).toEqual(["get", "get"]);
    expect((await manager.stats()).stored?.sessions).toBe(1);
  });

  test("property: only a token reaches the store", async () => {
    const { manager, calls } = setUp();
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string({ unit: "binary" }), fc.anything()), async (input) => {
        fc.pre(!(typeof input === "string" && /^[\w-]{43}$/.test(input)));
        expect(await manager.get(asToken(input))).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
    expect(calls).toEqual([]);
  });
});

describe("ids", () => {
  test.each([
    ["nothing", ""],
    ["an object", {}],
    ["513 bytes", "é".repeat(257)],
    ["NUL", "a\0b"],
    ["a lone surrogate", "\ud800"],
  ])("%s is refused with a message that does not show it", async (_name, id) => {
    const { manager, calls } = setUp();
    for (const call of [
      () => manager.byId.get(asToken(id)),
      () => manager.destroyById(asToken(id)),
      () => manager.listByUser(asToken(id)),
      () => manager.destroyByUser(asToken(id)),
      () => manager.create({ data: {}, userId: asToken(id) }),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    }
    expect(calls.filter((method) => method === "get")).toEqual([]);
  });
});

test.each([Number.NaN, 0, -1, 1.5])("a touch of %s ms is refused, whether due or not", async (idleMs) => {
  const { session } = await setUp().manager.create({ data: {} });
  await expect(session.touch({ idleMs })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(session.save({}, { idleMs })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});

describe("data", () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;

  test.each<[string, unknown]>([
    ["a BigInt", { n: 1n }],
    ["a cycle", cycle],
    ["a string", "data"],
    ["an array", []],
    ["null", null],
    [
      "what throws when read",
      {
        toJSON(): never {
          throw new Error("no");
        },
      },
    ],
  ])("%s is ENCODE, and the session stored before is untouched", async (_name, data) => {
    const { manager, calls } = setUp();
    const { token } = await manager.create({ data: { kept: true } });
    calls.length = 0;
    const bad = data as Record<string, unknown>;
    const session = await manager.get(token);
    await expect(manager.create({ data: bad })).rejects.toMatchObject({ code: "ENCODE" });
    await expect(manager.update(token, () => bad)).rejects.toMatchObject({ code: "ENCODE" });
    await expect(session?.save(bad)).rejects.toMatchObject({ code: "ENCODE" });
    await expect(manager.regenerate(token, { update: () => bad })).rejects.toMatchObject({ code: "ENCODE" });
    expect(calls.filter((method) => method !== "get")).toEqual([]);
    expect(await manager.get(token)).toMatchObject({ data: { kept: true }, version: 1 });
  });

  test("larger than allowed are refused before anything is sent", async () => {
    const { manager, calls } = setUp({ maxPayloadBytes: 1_000 });
    const { token } = await manager.create({ data: { kept: true } });
    const large = { text: "é".repeat(600) };
    await expect(manager.update(token, () => large)).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect(calls).not.toContain("update");
    expect((await manager.get(token))?.data).toEqual({ kept: true });
  });

  test("keys that could reach a prototype do not come back, and change no prototype", async () => {
    const { manager } = setUp();
    const hostile = JSON.parse(
      '{"a":{"__proto__":{"polluted":1}},"constructor":{"prototype":{"polluted":1}},"ok":1}',
    ) as object;
    const { token } = await manager.create({ data: { ...hostile } });
    const data = (await manager.get(token))?.data ?? {};
    expect(data).toEqual({ a: {}, ok: 1 });
    expect(Object.assign({}, data.a)).not.toHaveProperty("polluted");
    expect({}).not.toHaveProperty("polluted");
  });

  test("property: the JSON codec reads what it wrote", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const content = { value };
        fc.pre(!JSON.stringify(value).includes("__proto__"));
        expect(JSON.stringify(jsonCodec.decode(String(jsonCodec.encode(content, context)), context))).toBe(
          JSON.stringify(content),
        );
      }),
    );
  });
});

const context = { id: "id", userId: undefined };
