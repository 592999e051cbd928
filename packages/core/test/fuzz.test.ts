import { createSecretKey, randomBytes } from "node:crypto";
import { MemoryStore } from "@sojourn/memory";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { SessionCookie } from "../src/bridge/index.js";
import { seal } from "../src/content/envelope.js";
import { encryptedCodec, isSessionError, jsonCodec, SessionManager, type SessionManagerOptions } from "../src/index.js";
import { recording } from "./support.js";

/*
 * A hundred thousand malformed inputs. None crashes the process, causes an error other than a SessionError, causes a
 * store call that its form forbids, or reaches a prototype. A failure prints the seed that repeats it.
 */

const prototypes = [Object.prototype, Array.prototype, Function.prototype, String.prototype];
const before = prototypes.map((prototype) => Reflect.ownKeys(prototype));
afterEach(() => {
  expect(prototypes.map((prototype) => Reflect.ownKeys(prototype))).toEqual(before);
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});

/** A manager on a memory store of its own, and the calls that the store has had. */
function open(options: Partial<SessionManagerOptions> = {}) {
  const calls: string[] = [];
  const store = new MemoryStore();
  const manager = new SessionManager({ store: recording(store, calls), sweep: false, ...options });
  return { manager, store, calls };
}

/** Characters that break parsers, queries, keys and headers, mixed with the characters of tokens. */
const fragment = fc.constantFrom(
  ..."\0 \r \n . ; = % _ - + / \\ ' \" $ { } [ ] : * é 😀 \ud800".split(" "),
  " ",
  "../",
  "j:{}",
  "__proto__",
  "constructor",
  "A".repeat(42),
  "A".repeat(43),
  "B".repeat(43),
  "%00",
);
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "binary", minLength: 43, maxLength: 43 }),
  fc.stringMatching(/^[A-Za-z0-9_-]{40,46}$/),
  fc.array(fragment, { maxLength: 8 }).map((parts) => parts.join("")),
);

/** A text that was right, and then had something happen to it. */
function altered(original: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .record({ original, at: fc.nat(), removed: fc.nat(3), added: fc.oneof(fragment, fc.string({ maxLength: 3 })) })
    .map(({ original, at, removed, added }) => {
      const from = at % (original.length + 1);
      return original.slice(0, from) + added + original.slice(from + removed);
    });
}

describe("20,000 tokens", () => {
  test("are misses of every method, and only well-formed ones reach the store", async () => {
    const { manager, store, calls } = open();
    const { token: real, session } = await manager.create({ data: {} });
    const tokens = fc.oneof(text, altered(fc.constantFrom(real, session.id)), fc.anything());
    calls.length = 0;
    await fc.assert(
      fc.asyncProperty(tokens, fc.nat(4), async (input, method) => {
        if (input === real) return;
        const callsBefore = calls.length;
        // Past the compiler, as a cookie parser passes it.
        const token = input as string;
        const answer = await [
          () => manager.get(token),
          () => manager.update(token, () => ({ polluted: 1 })),
          () => manager.touch(token),
          () => manager.regenerate(token, { userId: "42" }),
          () => manager.destroy(token),
        ][method]?.();
        expect(answer === undefined || answer === false).toBe(true);
        if (!(typeof input === "string" && /^[A-Za-z0-9_-]{43}$/.test(input))) expect(calls.length).toBe(callsBefore);
      }),
      { numRuns: 20_000 },
    );
    expect(await store.count()).toMatchObject({ sessions: 1 });
    expect(await manager.get(real)).toMatchObject({ version: 1, userId: undefined });
  });
});

describe("30,000 cookies", () => {
  const token = "t".repeat(43);
  const signed = new SessionCookie({
    secret: ["the first secret of this test, long", "the second secret of this test, longer"],
  });
  const bare = new SessionCookie({ secret: false, name: "bare" });
  const session = { remainingMs: 1, expiresAt: 1, endsAt: 1 };
  const [signedValue, bareValue] = [signed, bare].map((cookie) => cookie.issue({ token, session }).value);

  test("give the token that was signed, or nothing", () => {
    const right = `${signed.name}=${signedValue}`;
    const header = fc.oneof(
      text,
      altered(fc.constant(right)),
      fc
        .array(fc.oneof(fragment, fc.constantFrom(right, "; ", `${signed.name}=`, String(signedValue))), {
          maxLength: 8,
        })
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(header, (input) => {
        const read = signed.read(input);
        expect(read === undefined || (read === token && input.includes(String(signedValue)))).toBe(true);
        const unsigned = bare.read(
          input.replaceAll(signed.name, bare.name).replaceAll(String(signedValue), String(bareValue)),
        );
        expect(unsigned === undefined || /^[A-Za-z0-9_-]{43}$/.test(unsigned)).toBe(true);
      }),
      { numRuns: 30_000 },
    );
  });
});

const context = { id: "session", userId: "42" };

describe("25,000 payloads", () => {
  const hostile = fc.oneof(
    fc.json(),
    fc.string({ unit: "binary" }),
    altered(fc.json()),
    altered(fc.constant('{"data":{"a":{"__proto__":{"polluted":1}}},"metadata":{},"idleMs":1,"schemaVersion":1}')),
    fc
      .oneof(fc.json(), fc.constant('{"polluted":1}'))
      .map((json) => `{"data":{"__proto__":${json},"constructor":{"prototype":${json}}},"metadata":${json}}`),
  );

  test("of a store are read, or are DECODE, and what is read cannot be changed", async () => {
    const { manager, store } = open();
    await store.create({ ...context, payload: "", idleMs: 60_000, absoluteMs: 60_000 });
    await fc.assert(
      fc.asyncProperty(hostile, async (payload) => {
        fc.pre(payload.isWellFormed());
        await store.update(context.id, { payload });
        try {
          const session = await manager.byId.get(context.id, { touch: false });
          expect(Object.isFrozen(session?.data)).toBe(true);
          expect(Object.assign({}, session?.data)).not.toHaveProperty("polluted");
        } catch (error) {
          if (!isSessionError(error, "DECODE")) throw error;
        }
      }),
      { numRuns: 15_000 },
    );
  });

  test("of an application come back as JSON has them, or are ENCODE", async () => {
    const { manager } = open({ codec: encryptedCodec({ keys: [{ id: "a", secret: randomBytes(32) }] }) });
    const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true });
    await fc.assert(
      fc.asyncProperty(anything, async (value) => {
        const data = { value } as Record<string, unknown>;
        try {
          const { session } = await manager.create({ data });
          const json = JSON.stringify({ data });
          expect(session.data).toEqual((jsonCodec.decode(json, context) as { data: unknown }).data);
          await session.destroy();
        } catch (error) {
          if (!isSessionError(error, "ENCODE")) throw error;
        }
      }),
      { numRuns: 10_000 },
    );
  });
});

describe("25,000 envelopes", () => {
  const secret = randomBytes(32);
  const codec = encryptedCodec({ keys: [{ id: "a", secret }] });
  const key = createSecretKey(secret);
  const right = seal(key, '{"data":{"n":1},"metadata":{}}', { ...context, format: "e1", keyId: "a" });

  test("open only as they were sealed", async () => {
    const envelope = fc.oneof(
      altered(fc.constant(right)),
      fc.string({ unit: "binary" }),
      fc
        .tuple(
          fc.constantFrom("e1", "e1d", "e2", "", "__proto__"),
          fc.constantFrom("a", "b", "__proto__", ""),
          fc.base64String(),
        )
        .map(([format, id, body]) => `${format}.${id}.${body.replaceAll("=", "")}`),
    );
    await fc.assert(
      fc.asyncProperty(envelope, async (payload) => {
        if (payload === right) return;
        await expect(codec.decode(payload, context)).rejects.toSatisfy((error) => isSessionError(error, "DECODE"));
      }),
      { numRuns: 15_000 },
    );
  });

  test("whose content a key holder made up are DECODE or a session, also deflated", async () => {
    const { manager, store } = open({ codec });
    await store.create({ ...context, payload: "", idleMs: 60_000, absoluteMs: 60_000 });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array(), fc.json(), fc.constantFrom("e1", "e1d"), async (bytes, json, format) => {
        const plain = bytes.length % 2 === 0 ? Buffer.from(bytes) : json;
        await store.update(context.id, { payload: seal(key, plain, { ...context, format, keyId: "a" }) });
        try {
          await manager.byId.get(context.id, { touch: false });
        } catch (error) {
          if (!isSessionError(error, "DECODE")) throw error;
        }
      }),
      { numRuns: 10_000 },
    );
  });
});
