import { createSecretKey, randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { deflateRawSync } from "node:zlib";
import { MemoryStore } from "@sojourn/memory";
import { describe, expect, test, vi } from "vitest";
import type { SessionRecord } from "../src/adapter/index.js";
import { seal } from "../src/content/envelope.js";
import {
  type CodecContext,
  type EncryptedCodecOptions,
  type EncryptionKey,
  type EncryptionWarning,
  encryptedCodec,
  jsonCodec,
  SessionManager,
} from "../src/index.js";
import { setUp } from "./support.js";

const context: CodecContext = { id: "session-1", userId: "42" };
const content = { data: { secret: "hunter2" }, metadata: {} };

function newKey(id: string): EncryptionKey {
  return { id, secret: randomBytes(32) };
}

/** A codec that has one key, and an envelope that it wrote. */
async function written(options: Partial<EncryptedCodecOptions> = {}) {
  const codec = encryptedCodec({ keys: [newKey("a")], ...options });
  return { codec, envelope: await codec.encode(content, context) };
}

describe("an envelope", () => {
  test("can be decrypted for its own session and user, and shows no content", async () => {
    const { codec, envelope } = await written();
    expect(await codec.decode(envelope, context)).toEqual(content);
    expect(envelope).toMatch(/^e1\.a\.[A-Za-z0-9_-]+$/);
    expect(Buffer.from(envelope.slice(5), "base64url").toString("latin1")).not.toContain("hunter2");
  });

  test("differs each time", async () => {
    const codec = encryptedCodec({ keys: [newKey("a")] });
    const envelopes = await Promise.all(Array.from({ length: 1_000 }, () => codec.encode(content, context)));
    // The nonce: 12 bytes, 16 characters.
    expect(new Set(envelopes.map((envelope) => envelope.slice(5, 21))).size).toBe(1_000);
  });

  test("with any one character changed, left out or added is DECODE", async () => {
    const { codec, envelope } = await written();
    const { codec: deflating, envelope: deflated } = await written({
      compress: true,
      inner: { ...jsonCodec, encode: (value) => JSON.stringify(value) + " ".repeat(100) },
    });
    for (const [of, text] of [
      [codec, envelope],
      [deflating, deflated],
    ] as const) {
      for (let at = 0; at <= text.length; at++) {
        const [before, after] = [text.slice(0, at), text.slice(at)];
        const changed = [
          ...["A", "B", "_", "=", " ", "\n", "+", ".", "é"].map((other) => before + other + after.slice(1)),
        ];
        for (const altered of [...changed, before + after.slice(1), `${before}A${after}`, before]) {
          if (altered === text) continue;
          await expect(of.decode(altered, context), altered).rejects.toMatchObject({ code: "DECODE" });
        }
      }
    }
  });

  test("with any one bit of nonce, ciphertext or tag flipped is DECODE", async () => {
    const { codec, envelope } = await written();
    const bytes = Buffer.from(envelope.slice(5), "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = Buffer.from(bytes);
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const text = `e1.a.${altered.toString("base64url")}`;
      await expect(codec.decode(text, context)).rejects.toMatchObject({ code: "DECODE" });
    }
  });

  test.each<[string, CodecContext]>([
    ["another session", { ...context, id: "session-2" }],
    ["another user", { ...context, userId: "43" }],
    ["nobody", { ...context, userId: undefined }],
    ["a user named as nobody is written", { ...context, userId: "-" }],
    ["a session and user that read alike side by side", { id: "session-14", userId: "2" }],
  ])("moved to %s is DECODE", async (_, other) => {
    const { codec, envelope } = await written();
    await expect(codec.decode(envelope, other)).rejects.toMatchObject({ code: "DECODE" });
    const foreign = await codec.encode(content, other);
    await expect(codec.decode(foreign, context)).rejects.toMatchObject({ code: "DECODE" });
    expect(await codec.decode(foreign, other)).toEqual(content);
  });

  test("under the name of another key is DECODE, also where that key has the same secret", async () => {
    const [a, b] = [newKey("a"), newKey("b")];
    const codec = encryptedCodec({ keys: [a, b, { ...a, id: "c" }] });
    const envelope = await codec.encode(content, context);
    for (const name of ["b", "c"]) {
      const renamed = envelope.replace("e1.a.", `e1.${name}.`);
      await expect(codec.decode(renamed, context)).rejects.toMatchObject({ code: "DECODE" });
    }
  });

  test.each([
    "",
    "e1",
    "e1.a",
    "e1.a.",
    "e1.a.AAAA",
    "e2.a.AAAA",
    '{"data":{},"metadata":{}}',
    "null",
    "e1.__proto__.AAAA",
    "....",
    "e1..AAAA",
  ])("is DECODE for %j", async (payload) => {
    const { codec } = await written();
    await expect(codec.decode(payload, context)).rejects.toMatchObject({ code: "DECODE" });
  });

  test("holds a megabyte", async () => {
    const { codec } = await written();
    const large = { data: { text: "é".repeat(2 ** 19) }, metadata: {} };
    expect(await codec.decode(await codec.encode(large, context), context)).toEqual(large);
  });

  test("is never plain text: an inner codec's text that is not well-formed is ENCODE", async () => {
    for (const text of ["\ud800", undefined as unknown as string]) {
      const codec = encryptedCodec({ keys: [newKey("a")], inner: { ...jsonCodec, encode: () => text } });
      await expect(codec.encode(content, context)).rejects.toMatchObject({ code: "ENCODE" });
    }
  });
});

describe("the sessions of a manager", () => {
  function open(store: MemoryStore, keys: EncryptedCodecOptions["keys"]): SessionManager {
    return new SessionManager({ store, sweep: false, codec: encryptedCodec({ keys }) });
  }

  async function keyOf(store: MemoryStore, id: string): Promise<string | undefined> {
    return (await store.get(id))?.payload.split(".")[1];
  }

  test("survive a rotation as long as their key is among the keys, and move to the first key when they are written", async () => {
    const [a, b] = [newKey("a"), newKey("b")];
    const store = new MemoryStore();
    const before = open(store, [a]);
    const left = await before.create({ userId: "42", data: { n: 1 } });
    const rewritten = await before.create({ userId: "42", data: { n: 2 } });
    const regenerated = await before.create({ userId: "42", data: { n: 3 } });

    const during = open(store, [b, a]);
    expect((await during.get(left.token))?.data).toEqual({ n: 1 });
    expect(await keyOf(store, left.session.id)).toBe("a");
    await during.update(rewritten.token, ({ n }) => ({ n: Number(n) * 10 }));
    expect(await keyOf(store, rewritten.session.id)).toBe("b");
    const fresh = await during.regenerate(regenerated.token);
    expect(await keyOf(store, fresh?.session.id ?? "")).toBe("b");

    const after = open(store, [b]);
    const errors = vi.fn();
    after.on("error", errors);
    await expect(after.get(left.token)).rejects.toMatchObject({ code: "DECODE" });
    await expect(after.update(left.token, () => ({}))).rejects.toMatchObject({ code: "DECODE" });
    expect(errors).toHaveBeenCalledTimes(2);
    expect((await after.get(rewritten.token))?.data).toEqual({ n: 20 });
    expect((await after.get(fresh?.token ?? ""))?.data).toEqual({ n: 3 });
    expect(await after.listByUser("42")).toHaveLength(2);
  });

  test("cannot be decrypted in each other's place", async () => {
    const store = new MemoryStore();
    const manager = open(store, [newKey("a")]);
    const alice = await manager.create({ userId: "alice", data: { of: "alice" } });
    const mallory = await manager.create({ userId: "mallory", data: { of: "mallory" } });
    const record = (await store.get(alice.session.id)) as SessionRecord;
    await store.update(mallory.session.id, { payload: record.payload });
    await expect(manager.get(mallory.token)).rejects.toMatchObject({ code: "DECODE" });
    await store.update(mallory.session.id, { userId: "alice" });
    await expect(manager.get(mallory.token)).rejects.toMatchObject({ code: "DECODE" });
  });

  test("keep their content through a login, a logout and a save", async () => {
    const manager = open(new MemoryStore(), [newKey("a")]);
    const { token } = await manager.create({ data: { cart: ["book"] } });
    const login = await manager.regenerate(token, { userId: "42", update: (data) => ({ ...data, name: "Ada" }) });
    expect(await login?.session.save({ cart: ["book", "pen"], name: "Ada" })).toBe("saved");
    expect(await login?.session.update((data) => data, { userId: null })).toBe(true);
    const read = await manager.get(login?.token ?? "");
    expect(read).toMatchObject({ userId: undefined, data: { cart: ["book", "pen"], name: "Ada" } });
  });

  test("written before encryption was on are DECODE, not read", async () => {
    const store = new MemoryStore();
    const { token } = await new SessionManager({ store, sweep: false }).create({ data: { isAdmin: true } });
    await expect(open(store, [newKey("a")]).get(token)).rejects.toMatchObject({ code: "DECODE" });
  });

  test("exist while the key provider is down: lists reject instead of leaving them out", async () => {
    const store = new MemoryStore();
    const key = newKey("a");
    const { token } = await open(store, [key]).create({ userId: "42", data: {} });
    const manager = open(store, () => {
      throw new Error("the KMS is away");
    });
    const unavailable = { code: "UNAVAILABLE", retryable: true };
    await expect(manager.get(token)).rejects.toMatchObject(unavailable);
    await expect(manager.listByUser("42")).rejects.toMatchObject(unavailable);
    await expect(manager.create({ data: {} })).rejects.toMatchObject(unavailable);
  });
});

describe("keys from a function", () => {
  /** The keys that the function returns, changed by the test, and the number of calls. */
  function provided(keys: readonly EncryptionKey[], options: Partial<EncryptedCodecOptions> = {}) {
    const source = { keys, asked: 0, error: undefined as Error | undefined };
    const warnings: EncryptionWarning[] = [];
    const provider = async (): Promise<readonly EncryptionKey[]> => {
      source.asked++;
      if (source.error) throw source.error;
      return source.keys;
    };
    const codec = encryptedCodec({ keys: provider, onWarning: (warning) => warnings.push(warning), ...options });
    return { source, codec, warnings };
  }

  const [a, b] = [newKey("a"), newKey("b")];
  const byA = encryptedCodec({ keys: [a] });
  const byB = encryptedCodec({ keys: [b] });

  /** Time passes, and what is due happens. */
  async function pass(ms: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(ms);
  }

  test.beforeEach(() => {
    vi.useFakeTimers();
    return () => vi.useRealTimers();
  });

  test("are loaded once for all concurrent calls, and again when they are old", async () => {
    const { source, codec } = provided([a], { cacheKeysFor: "1m" });
    expect(source.asked).toBe(0);
    const envelope = await byA.encode(content, context);
    await Promise.all(
      Array.from({ length: 50 }, () => [codec.encode(content, context), codec.decode(envelope, context)]).flat(),
    );
    await pass(59_999);
    await codec.decode(envelope, context);
    expect(source.asked).toBe(1);
    source.keys = [b];
    await pass(1);
    await expect(codec.decode(envelope, context)).rejects.toMatchObject({ code: "DECODE" });
    expect(await codec.encode(content, context)).toMatch(/^e1\.b\./);
  });

  test("are loaded when a session names an unknown key, which is then read; once a second at most", async () => {
    const { source, codec } = provided([a]);
    await codec.encode(content, context);
    source.keys = [b, a];
    const envelope = await byB.encode(content, context);
    const reads = Promise.all(Array.from({ length: 50 }, () => codec.decode(envelope, context)));
    await pass(999);
    expect(source.asked).toBe(1);
    await pass(1);
    expect(await reads).toEqual(new Array(50).fill(content));
    expect(source.asked).toBe(2);
  });

  test("are not loaded again for a session whose key is known to be removed", async () => {
    const { source, codec } = provided([a]);
    await codec.encode(content, context);
    const envelope = await byB.encode(content, context);
    const first = expect(codec.decode(envelope, context)).rejects.toMatchObject({ code: "DECODE" });
    await pass(1_000);
    await first;
    for (let n = 0; n < 100; n++)
      await expect(codec.decode(envelope, context)).rejects.toMatchObject({ code: "DECODE" });
    expect(source.asked).toBe(2);
  });

  test("loaded before a key existed do not count as proof that it is unknown", async () => {
    const answers: ((keys: readonly EncryptionKey[]) => void)[] = [];
    const codec = encryptedCodec({ keys: () => new Promise((resolve) => answers.push(resolve)) });
    const [before, read] = [byA.encode(content, context), byB.encode(content, context)];
    const known = codec.decode(await before, context);
    await pass(0);
    const unknown = codec.decode(await read, context);
    answers[0]?.([a]);
    expect(await known).toEqual(content);
    await pass(1_000);
    answers[1]?.([b, a]);
    expect(await unknown).toEqual(content);
  });

  test("stay in use while the function fails, with a warning and a retry after ten seconds", async () => {
    const { source, codec, warnings } = provided([a], { cacheKeysFor: "1m" });
    const envelope = await codec.encode(content, context);
    source.error = new Error("the KMS is away");
    await pass(60_000);
    expect(await codec.decode(envelope, context)).toEqual(content);
    expect(await codec.decode(envelope, context)).toEqual(content);
    expect(warnings).toMatchObject([{ type: "keysUnavailable", error: { code: "UNAVAILABLE", cause: source.error } }]);
    expect(source.asked).toBe(2);
    source.error = undefined;
    source.keys = [b, a];
    await pass(10_000);
    await codec.encode(content, context);
    await pass(0);
    expect(await codec.encode(content, context)).toMatch(/^e1\.b\./);
    expect(source.asked).toBe(3);
  });

  test("are loaded again ten seconds after a key was unknown: the function may learn of it late", async () => {
    const { source, codec } = provided([a]);
    const envelope = await byB.encode(content, context);
    await codec.encode(content, context);
    await pass(1_000);
    await expect(codec.decode(envelope, context)).rejects.toMatchObject({ code: "DECODE" });
    source.keys = [b, a];
    await pass(9_999);
    await expect(codec.decode(envelope, context)).rejects.toMatchObject({ code: "DECODE" });
    expect(source.asked).toBe(2);
    await pass(1);
    expect(await codec.decode(envelope, context)).toEqual(content);
    expect(source.asked).toBe(3);
  });

  test("are waited for once while the function hangs; later loads run in the background", async () => {
    let hangs = false;
    const codec = encryptedCodec({
      keys: () => (hangs ? new Promise(() => {}) : [a]),
      cacheKeysFor: "1m",
    });
    await codec.encode(content, context);
    hangs = true;
    await pass(60_000);
    let isDone = false;
    const waiting = Promise.resolve(codec.encode(content, context)).then(() => {
      isDone = true;
    });
    await pass(4_999);
    expect(isDone).toBe(false);
    await pass(1);
    await waiting;
    for (let round = 0; round < 3; round++) {
      await pass(15_000);
      // Nothing moves the clock here: a call that waited would never end.
      expect(await codec.encode(content, context)).toMatch(/^e1\.a\./);
    }
  });

  test("that cannot be loaded make an unknown key UNAVAILABLE; it is read later", async () => {
    const { source, codec } = provided([a]);
    await codec.encode(content, context);
    source.error = new Error("the KMS is away");
    const envelope = await byB.encode(content, context);
    const during = expect(codec.decode(envelope, context)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await pass(1_000);
    await during;
    source.error = undefined;
    source.keys = [b, a];
    const after = codec.decode(envelope, context);
    await pass(1_000);
    expect(await after).toEqual(content);
  });

  test("that never arrive are UNAVAILABLE after five seconds", async () => {
    const codec = encryptedCodec({ keys: () => new Promise(() => {}) });
    const encoded = expect(codec.encode(content, context)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await pass(5_000);
    await encoded;
  });

  test("that are invalid are UNAVAILABLE, and the cause says why without showing them", async () => {
    const { codec, warnings } = provided([{ id: "a", secret: "c2hvcnQ=" }]);
    const error: unknown = await Promise.resolve(codec.encode(content, context)).catch((reason) => reason);
    expect(error).toMatchObject({ code: "UNAVAILABLE", cause: { code: "INVALID_OPTION" } });
    expect(inspect([error, warnings], { depth: 9 })).not.toContain("c2hvcnQ");
  });
});

describe("a key that has encrypted its allowed number of messages", () => {
  test("encrypts no more, after a warning, and goes on reading", async () => {
    const warnings: EncryptionWarning[] = [];
    const keys = [newKey("a")];
    const onWarning = (warning: EncryptionWarning): void => {
      warnings.push(warning);
      throw new Error("a listener's failure is its own");
    };
    const codec = encryptedCodec({ keys, maxMessagesPerKey: 8, onWarning });
    const { manager, calls } = setUp({ codec });
    const { token, session } = await manager.create({ data: { n: 1 } });
    for (let n = 2; n <= 8; n++) {
      await session.update(() => ({ n }));
      expect(warnings).toHaveLength(n < 6 ? 0 : 1);
    }
    expect(warnings).toEqual([{ type: "keyNearlyUsedUp", keyId: "a", messages: 6, limit: 8 }]);
    calls.length = 0;
    const error: unknown = await session.update(() => ({ n: 9 })).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ENCODE", retryable: false });
    expect(String(error)).toContain('key "a" has encrypted 8 messages');
    expect(calls).toEqual([]);
    expect((await manager.get(token))?.data).toEqual({ n: 8 });
  });

  test("is replaced by the provider's new first key, and keeps its count when it returns", async () => {
    vi.useFakeTimers();
    try {
      const [a, b] = [newKey("a"), newKey("b")];
      let keys = [a];
      const codec = encryptedCodec({ keys: () => keys, cacheKeysFor: "1m", maxMessagesPerKey: 1 });
      await codec.encode(content, context);
      await vi.advanceTimersByTimeAsync(60_000);
      await expect(codec.encode(content, context)).rejects.toMatchObject({ code: "ENCODE" });
      keys = [b, a];
      await vi.advanceTimersByTimeAsync(60_000);
      expect(await codec.encode(content, context)).toMatch(/^e1\.b\./);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe("compression", () => {
  const keys = [newKey("a")];
  const wordy = { data: { text: "again and ".repeat(1_000) }, metadata: {} };

  test("shortens what repeats, and is read also by a codec that does not compress", async () => {
    const [plain, deflating] = [encryptedCodec({ keys }), encryptedCodec({ keys, compress: true })];
    const envelope = await deflating.encode(wordy, context);
    expect(envelope.length).toBeLessThan((await plain.encode(wordy, context)).length / 20);
    expect(await plain.decode(envelope, context)).toEqual(wordy);
    expect(await deflating.decode(await plain.encode(wordy, context), context)).toEqual(wordy);
  });

  test("is skipped where it would make the text longer", async () => {
    const codec = encryptedCodec({ keys, compress: true });
    const envelope = await codec.encode({}, context);
    expect(envelope).toMatch(/^e1\.a\./);
    expect(await codec.decode(envelope, context)).toEqual({});
  });

  test("refuses text that is too long to be read again, and a decompression bomb encrypted with the key", async () => {
    const codec = encryptedCodec({ keys, compress: true });
    const { manager } = setUp({ codec, maxPayloadBytes: 2 ** 20 });
    const huge = { text: "a".repeat(2 ** 24 + 1) };
    await expect(manager.create({ data: huge })).rejects.toMatchObject({ code: "ENCODE" });

    const bomb = deflateRawSync(Buffer.alloc(2 ** 26));
    const secret = createSecretKey(keys[0]?.secret as Uint8Array);
    const payload = seal(secret, bomb, { ...context, format: "e1d", keyId: "a" });
    await expect(codec.decode(payload, context)).rejects.toThrow(RangeError);
  });
});

describe("options", () => {
  const secret = randomBytes(32);
  const base64 = secret.toString("base64");

  test.each(["base64", "base64url"] as const)("take a secret as bytes or as %s", async (encoding) => {
    const byText = encryptedCodec({ keys: [{ id: "a", secret: secret.toString(encoding) }] });
    const byBytes = encryptedCodec({ keys: [{ id: "a", secret: new Uint8Array(secret) }] });
    expect(await byText.decode(await byBytes.encode(content, context), context)).toEqual(content);
  });

  test("are copied: bytes that the caller clears afterwards still encrypt", async () => {
    const bytes = new Uint8Array(secret);
    const codec = encryptedCodec({ keys: [{ id: "a", secret: bytes }] });
    bytes.fill(0);
    const other = encryptedCodec({ keys: [{ id: "a", secret }] });
    expect(await other.decode(await codec.encode(content, context), context)).toEqual(content);
  });

  test.each<[string, unknown]>([
    ["options", undefined],
    ["options", base64],
    ["keys", { keys: [] }],
    ["keys", {}],
    ["keys", { keys: base64 }],
    ["keys[0]", { keys: [base64] }],
    ["keys[0].id", { keys: [{ id: "", secret }] }],
    ["keys[0].id", { keys: [{ id: "a.b", secret }] }],
    // The two in the wrong order.
    ["keys[0].id", { keys: [{ id: secret.toString("base64url"), secret: "a" }] }],
    ["keys[1].id", { keys: [newKey("a"), newKey("a")] }],
    ["keys[0].secret", { keys: [{ id: "a" }] }],
    ["keys[0].secret", { keys: [{ id: "a", secret: secret.subarray(1) }] }],
    ["keys[0].secret", { keys: [{ id: "a", secret: Buffer.alloc(33) }] }],
    ["keys[0].secret", { keys: [{ id: "a", secret: base64.slice(1) }] }],
    ["keys[0].secret", { keys: [{ id: "a", secret: `${base64}\n` }] }],
    ["keys[0].secret", { keys: [{ id: "a", secret: secret.toString("hex") }] }],
    ["key", { keys: [{ id: "a", secret, key: base64 }] }],
    ["cacheKeysFor", { keys: [newKey("a")], cacheKeysFor: 0 }],
    ["inner", { keys: [newKey("a")], inner: {} }],
    ["maxMessagesPerKey", { keys: [newKey("a")], maxMessagesPerKey: 2 ** 32 + 1 }],
    ["compress", { keys: [newKey("a")], compress: "brotli" }],
    ["onWarning", { keys: [newKey("a")], onWarning: 1 }],
    ["algorithm", { keys: [newKey("a")], algorithm: "aes-128-cbc" }],
  ])("name %j, and show no secret, in %#", (option, options) => {
    const error = catching(() => encryptedCodec(options as EncryptedCodecOptions));
    expect(error).toMatchObject({ code: "INVALID_OPTION" });
    expect(String(error)).toContain(`option "${option}"`);
    const shown = inspect(error, { depth: 9 });
    for (const encoding of ["base64", "base64url", "hex"] as const) {
      expect(shown).not.toContain(secret.toString(encoding).slice(1, 20));
    }
  });

  test("are not shown by a codec, a manager or a warning", async () => {
    const codec = encryptedCodec({ keys: [{ id: "a", secret: base64 }], maxMessagesPerKey: 1 });
    const { manager } = setUp({ codec });
    const failure: unknown[] = [];
    manager.on("error", (event) => failure.push(event));
    const { token } = await manager.create({ data: {} });
    failure.push(await manager.regenerate(token).catch((error: unknown) => error));
    const shown = [codec, manager, failure].flatMap((value) => [
      inspect(value, { depth: Number.POSITIVE_INFINITY, showHidden: true }),
      JSON.stringify(value),
    ]);
    for (const encoding of ["base64", "base64url", "hex"] as const) {
      expect(shown.join("\n")).not.toContain(secret.toString(encoding).slice(1, 20));
    }
  });
});

function catching(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  return undefined;
}
