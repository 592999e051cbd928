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

/** What an operator should know of before it becomes an error. No key is in it. */
export type EncryptionWarning =
  /** A key has encrypted three quarters of the messages that it may: put a new one first. Once for each key. */
  | { readonly type: "keyNearlyUsedUp"; readonly keyId: string; readonly messages: number; readonly limit: number }
  /** The provider failed, or gave no usable keys. Those that it gave last stay in use; where there are none, calls fail. */
  | { readonly type: "keysUnavailable"; readonly error: SessionError };

export interface EncryptedCodecOptions {
  /**
   * The first key writes, all read. To rotate, put a new key first and keep the old ones as long as sessions live; a session
   * that is written meanwhile is encrypted with the new key. Where processes read their keys at different moments, let all
   * know the new key before it comes first.
   *
   * A function is asked on first use, again after `cacheKeysFor`, and when a session names a key that is not among those
   * cached: at most once a second, every ten seconds for one that it did not have, one call for all who wait, each given
   * five seconds. While it fails, the keys that it gave last stay in use, and it is asked again every ten seconds, without
   * holding up calls.
   */
  readonly keys: readonly EncryptionKey[] | EncryptionKeyProvider;
  /** How long keys from a function are used before it is asked again: a removed one reads that much longer. Default `"5m"`. */
  readonly cacheKeysFor?: Duration | undefined;
  /** What makes text of the content before it is encrypted. Default {@link jsonCodec}. */
  readonly inner?: SessionCodec | undefined;
  /**
   * How often this process may encrypt with one key; from there on writes are refused with `ENCODE`, and reads go on. NIST
   * SP 800-38D (section 8.3) allows one key 2^32 messages with random nonces, over all processes that ever use it: divide by
   * their number, restarts included. Every attempt to write a session is a message. Default, and most, 2^32.
   */
  readonly maxMessagesPerKey?: number | undefined;
  /**
   * Deflates before encrypting, where that makes it shorter. **Risk:** encryption hides content, not length, and a
   * compressed length tells how alike the parts are. Where a client can put text of its own into a session that also holds
   * a secret, and can see stored lengths, it can guess the secret piece by piece (as the attacks CRIME and BREACH do). What
   * was compressed is read also without this option. Content of more than 16 MiB is refused with `ENCODE`. Default false.
   */
  readonly compress?: boolean | undefined;
  /** Told what should be known before it becomes an error. What it throws is ignored. */
  readonly onWarning?: ((warning: EncryptionWarning) => void) | undefined;
}

const packageName = "@sojourn/core";
const known = ["keys", "cacheKeysFor", "inner", "maxMessagesPerKey", "compress", "onWarning"];
const maxMessages = 2 ** 32;

/**
 * Encrypts sessions at rest, with AES-256-GCM and a random nonce for each write.
 *
 * An envelope belongs to its session and user: moved to another of either it does not open. What was not written by this
 * codec with one of its keys is `DECODE`, plain JSON from before encryption included: there is no fallback. Lengths, ids,
 * user ids and times are not hidden.
 *
 * `encode` throws `ENCODE` once a key is used up; both throw `UNAVAILABLE` (retryable, the session is there) while a
 * provider fails that has never answered, or that alone could tell whether a key is one.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function encryptedCodec(options: EncryptedCodecOptions): SessionCodec {
  if (typeof options !== "object" || options === null) {
    // What stands here by mistake may be the key.
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
      // A listener's failure is not the session's.
    }
  }

  /** Each message is counted before it exists: one that fails later counts, which is on the safe side. */
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
      // Bytes could not hold it as it is.
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
