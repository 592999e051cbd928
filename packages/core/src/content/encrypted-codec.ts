import { type Duration, durationMs } from "../contract/duration.js";
import { invalidOption, refuseUnknownOptions, SessionError } from "../contract/errors.js";
import { type CodecContext, jsonCodec, notWellFormed, type SessionCodec } from "./codec.js";
import { deflateText, inflateText } from "./compression.js";
import { open, parseEnvelope, seal } from "./envelope.js";
import {
  type EncryptionKey,
  type EncryptionKeyProvider,
  fixedKeyring,
  type Key,
  type Keyring,
  ProvidedKeyring,
} from "./keyring.js";

/** A warning for the operator before calls fail. Contains no key. */
export type EncryptionWarning =
  /** A key has encrypted three quarters of its allowed messages: put a new one first. Once for each key. */
  | { readonly type: "keyNearlyUsedUp"; readonly keyId: string; readonly messages: number; readonly limit: number }
  /** The provider failed, or returned no usable keys. The last keys stay in use; without any, calls fail. */
  | { readonly type: "keysUnavailable"; readonly error: SessionError };

export interface EncryptedCodecOptions {
  /**
   * The keys. The first key writes, all keys read. To rotate, put a new key first and keep the old ones as long as
   * sessions live; each write then moves its session to the new key. If processes load their keys at different times,
   * add the new key at the end everywhere before you put it first.
   *
   * A function is called on first use, after `cacheKeysFor`, and when a session names an unknown key. It is called at
   * most once a second, and every ten seconds for one unknown key. Waiting calls share one call, which may take five
   * seconds. While the function fails, the last keys stay in use and it is called every ten seconds in the background.
   */
  readonly keys: readonly EncryptionKey[] | EncryptionKeyProvider;
  /**
   * How long keys from a function are used before it is called again. A removed key still reads for this long. Default
   * `"5m"`.
   */
  readonly cacheKeysFor?: Duration | undefined;
  /** The codec whose text is encrypted. Default {@link jsonCodec}. */
  readonly inner?: SessionCodec | undefined;
  /**
   * How many messages this process may encrypt with one key. After that, writes are refused with `ENCODE` and reads go
   * on. NIST SP 800-38D (section 8.3) allows 2^32 messages with random nonces for one key, over all processes that ever
   * use it: divide by their number, restarts included. Each attempt to write a session is a message. Default and
   * maximum 2^32.
   */
  readonly maxMessagesPerKey?: number | undefined;
  /**
   * Deflates before encrypting, where that is shorter. **Risk:** encryption hides content, not length, and a compressed
   * length shows repetitions. If a client can put text into a session that also holds a secret, and can see stored
   * lengths, it can guess the secret piece by piece (as in the attacks CRIME and BREACH). Compressed sessions are read
   * without this option, too. Content of more than 16 MiB is refused with `ENCODE`. Default false.
   */
  readonly compress?: boolean | undefined;
  /** Called with each warning. An error that it throws is ignored. */
  readonly onWarning?: ((warning: EncryptionWarning) => void) | undefined;
}

const packageName = "@sojourn/core";
const known = ["keys", "cacheKeysFor", "inner", "maxMessagesPerKey", "compress", "onWarning"];
const maxMessages = 2 ** 32;

/**
 * Returns a codec that encrypts sessions at rest, with AES-256-GCM and a random nonce for each write.
 *
 * An envelope is bound to its session and user: it cannot be decrypted for another session or user. A payload that was
 * not written by this codec with one of its keys is `DECODE`, plain JSON from before encryption included: there is no
 * fallback. Lengths, ids, user ids and times are not hidden.
 *
 * `encode` throws `ENCODE` when a key is used up. Both methods throw `UNAVAILABLE` (retryable) while a provider fails
 * that has never answered, or that is needed to look up an unknown key.
 *
 * @throws SessionError `INVALID_OPTION`
 * @example
 * ```ts
 * import { randomBytes } from "node:crypto";
 * import { encryptedCodec, SessionManager } from "@sojourn/core";
 * import { MemoryStore } from "@sojourn/memory";
 *
 * const keys = [{ id: "2026-01", secret: randomBytes(32) }]; // in production: from a secret manager
 * const manager = new SessionManager({ store: new MemoryStore(), codec: encryptedCodec({ keys }) });
 * const { token } = await manager.create({ data: { cart: ["book"] } });
 * console.log((await manager.get(token))?.data); // { cart: ["book"] }; the store holds only ciphertext
 * await manager.close();
 * ```
 */
export function encryptedCodec(options: EncryptedCodecOptions): SessionCodec {
  if (typeof options !== "object" || options === null) {
    // A string passed by mistake may be the key.
    const received = typeof options === "string" ? "a string" : options;
    throw invalidOption(packageName, "options", "an object", received);
  }
  refuseUnknownOptions(packageName, options, known);
  const { inner = jsonCodec, maxMessagesPerKey: limit = maxMessages, compress = false, onWarning } = options;
  if (typeof inner?.encode !== "function" || typeof inner.decode !== "function") {
    throw invalidOption(packageName, "inner", "an object with encode and decode", inner);
  }
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > maxMessages) {
    throw invalidOption(packageName, "maxMessagesPerKey", `an integer from 1 to ${maxMessages}`, limit);
  }
  if (typeof compress !== "boolean") throw invalidOption(packageName, "compress", "true or false", compress);
  if (onWarning !== undefined && typeof onWarning !== "function") {
    throw invalidOption(packageName, "onWarning", "a function", onWarning);
  }
  const keyring = resolveKeyring(options, warn);

  function warn(warning: EncryptionWarning): void {
    try {
      onWarning?.(warning);
    } catch {
      // An error of the listener must not fail the session call.
    }
  }

  /** Counts a message before it is encrypted, so that a failed one counts, too. */
  function count(key: Key): void {
    if (key.messages >= limit) {
      throw new SessionError(
        "ENCODE",
        `${packageName}: key "${key.id}" has encrypted ${limit} messages, as many as it may; put a new key first`,
      );
    }
    key.messages += 1;
    if (key.messages !== Math.ceil(limit * 0.75)) return;
    warn({ type: "keyNearlyUsedUp", keyId: key.id, messages: key.messages, limit });
  }

  return {
    async encode(content, context) {
      const text = await inner.encode(content, context);
      // UTF-8 cannot hold a lone surrogate.
      if (typeof text !== "string" || !text.isWellFormed()) throw notWellFormed();
      const deflated = compress ? deflateText(text) : undefined;
      const key = await keyring.first();
      count(key);
      const format = deflated === undefined ? "e1" : "e1d";
      return seal(key.secret, deflated ?? text, { ...context, format, keyId: key.id });
    },

    async decode(payload, context) {
      const envelope = parseEnvelope(payload);
      if (envelope === undefined) throw unreadable(context, "is not encrypted");
      const key = await keyring.find(envelope.keyId);
      if (key === undefined) throw unreadable(context, `needs key "${envelope.keyId}", which is not among the keys`);
      let plain: Buffer;
      try {
        plain = open(key.secret, envelope, context);
      } catch (cause) {
        throw unreadable(context, "was not encrypted for it, or has been altered", cause);
      }
      return inner.decode(envelope.format === "e1d" ? inflateText(plain) : plain.toString(), context);
    },
  };
}

function resolveKeyring(
  { keys, cacheKeysFor = "5m" }: EncryptedCodecOptions,
  warn: (warning: EncryptionWarning) => void,
): Keyring {
  const cacheMs = durationMs(cacheKeysFor, "cacheKeysFor");
  if (typeof keys !== "function") return fixedKeyring(keys);
  return new ProvidedKeyring(keys, cacheMs, (error) => warn({ type: "keysUnavailable", error }));
}

function unreadable({ id }: CodecContext, problem: string, cause?: unknown): SessionError {
  return new SessionError("DECODE", `${packageName}: the payload of session ${id} ${problem}`, { cause });
}
