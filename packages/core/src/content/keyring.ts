import { createSecretKey, type KeyObject } from "node:crypto";
import { invalidOption, refuseUnknownOptions, SessionError } from "../contract/errors.js";
import { withTimeout } from "../contract/timeout.js";
import { keyIdPattern } from "./envelope.js";

/** A key that encrypts sessions. */
export interface EncryptionKey {
  /** Part of every envelope: 1 to 32 characters of `A-Z a-z 0-9 _ -`. Never use one id for two secrets. */
  readonly id: string;
  /**
   * 32 random bytes, or their base64 or base64url (`openssl rand -base64 32`). The bytes are copied: the caller may
   * clear its own.
   */
  readonly secret: Uint8Array | string;
}

/** Fetches the keys from a KMS or a file. The first key writes, all keys read. */
export type EncryptionKeyProvider = () => readonly EncryptionKey[] | Promise<readonly EncryptionKey[]>;

/** A key in use. */
export interface Key {
  readonly id: string;
  /** The secret. `inspect` and JSON do not show it. */
  readonly secret: KeyObject;
  /** How many messages this process has encrypted with it. */
  messages: number;
}

export interface Keyring {
  /**
   * Returns the key that writes.
   *
   * @throws SessionError `UNAVAILABLE`
   */
  first(): Key | Promise<Key>;
  /**
   * Returns a key that reads, or `undefined` when it is certain that the key does not exist.
   *
   * @throws SessionError `UNAVAILABLE`
   */
  find(id: string): Key | undefined | Promise<Key | undefined>;
}

const packageName = "@sojourn/core";
const secretBytes = 32;

/**
 * Returns the keyring of a fixed list.
 *
 * @throws SessionError `INVALID_OPTION`
 */
export function fixedKeyring(given: readonly EncryptionKey[]): Keyring {
  const keys = resolveKeys(given, new Map());
  return { first: () => firstOf(keys), find: (id) => keys.get(id) };
}

/** The shortest time between the starts of two loads. */
const pauseMs = 1_000;
/** The time between two calls of a failing provider, and between two lookups of one unknown key. */
const retryMs = 10_000;
/** The time after which a provider that does not answer has failed. */
const providerTimeoutMs = 5_000;
/**
 * The largest number of cached unknown ids. An id is cached for a short time only, because a provider may learn of a
 * key later than the process that writes with it. A rotation never needs this many.
 */
const maxAbsent = 1_000;

/** Loads keys from a provider: on first use, when they are `cacheMs` old, and when an unknown id appears. */
export class ProvidedKeyring implements Keyring {
  readonly #provide: EncryptionKeyProvider;
  readonly #cacheMs: number;
  readonly #onFailure: (error: SessionError) => void;
  /** Unknown ids, each with the time until which it is not looked up again. */
  readonly #absent = new Map<string, number>();
  #keys: ReadonlyMap<string, Key> = new Map();
  #dueAt = Number.NEGATIVE_INFINITY;
  #beganAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;
  /** Whether the last load failed while older keys are in use. */
  #isFailing = false;
  /** The number of loads begun, and the number of the last one that succeeded. */
  #begun = 0;
  #succeeded = 0;

  constructor(provide: EncryptionKeyProvider, cacheMs: number, onFailure: (error: SessionError) => void) {
    this.#provide = provide;
    this.#cacheMs = cacheMs;
    this.#onFailure = onFailure;
  }

  async first(): Promise<Key> {
    await this.#refreshWhenDue();
    return firstOf(this.#keys);
  }

  async find(id: string): Promise<Key | undefined> {
    const begun = this.#begun;
    await this.#refreshWhenDue();
    // Another process may already write with a new key. A load under way may have begun before that key existed.
    if (!this.#isSettled(id)) await this.#loading?.catch(() => {});
    if (!this.#isSettled(id) && this.#succeeded <= begun) await this.#load();
    const key = this.#keys.get(id);
    if (!this.#isSettled(id)) {
      if (this.#absent.size >= maxAbsent) this.#absent.clear();
      this.#absent.set(id, performance.now() + retryMs);
    }
    return key;
  }

  #isSettled(id: string): boolean {
    return this.#keys.has(id) || performance.now() < (this.#absent.get(id) ?? 0);
  }

  /** Loads keys that are due. Fails only if there are no older keys to use. */
  async #refreshWhenDue(): Promise<void> {
    if (performance.now() < this.#dueAt) return;
    const loaded = this.#keys.size === 0 ? this.#load() : this.#load().catch(() => {});
    // A failing provider is called in the background. Otherwise each call would wait for it.
    if (!this.#isFailing) await loaded;
  }

  /** Starts a load, or joins the one under way. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadAfterPause().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #loadAfterPause(): Promise<void> {
    const waitMs = this.#beganAt + pauseMs - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    this.#beganAt = performance.now();
    const number = ++this.#begun;
    try {
      const asked = Promise.resolve().then(this.#provide);
      const given = await withTimeout(asked, providerTimeoutMs, `${packageName}: the key provider`);
      this.#keys = resolveKeys(given, this.#keys);
      this.#dueAt = this.#beganAt + this.#cacheMs;
      this.#succeeded = number;
      this.#isFailing = false;
    } catch (cause) {
      this.#isFailing = this.#keys.size > 0;
      if (this.#isFailing) this.#dueAt = performance.now() + retryMs;
      const error = new SessionError("UNAVAILABLE", `${packageName}: the provider of encryption keys failed`, {
        cause,
      });
      this.#onFailure(error);
      throw error;
    }
  }
}

/**
 * Resolves a list of keys. A key that was there before keeps its count of messages.
 *
 * @throws SessionError `INVALID_OPTION`
 */
function resolveKeys(given: readonly EncryptionKey[], before: ReadonlyMap<string, Key>): ReadonlyMap<string, Key> {
  if (!Array.isArray(given) || given.length === 0) {
    throw invalidOption(
      packageName,
      "keys",
      "a list of at least one key, or a function that gives one",
      unquoted(given),
    );
  }
  const keys = new Map<string, Key>();
  for (const [index, key] of given.entries()) {
    const { id, secret } = resolveKey(key, `keys[${index}]`);
    if (keys.has(id)) throw invalidOption(packageName, `keys[${index}].id`, "unlike every other key's", id);
    const known = before.get(id);
    keys.set(id, known?.secret.equals(secret) ? known : { id, secret, messages: 0 });
  }
  return keys;
}

function resolveKey(key: EncryptionKey, option: string): { id: string; secret: KeyObject } {
  if (typeof key !== "object" || key === null) {
    throw invalidOption(packageName, option, "an object with id and secret", unquoted(key));
  }
  refuseUnknownOptions(packageName, key, ["id", "secret"]);
  const { id, secret } = key;
  if (typeof id !== "string" || !keyIdPattern.test(id)) {
    throw invalidOption(packageName, `${option}.id`, "1 to 32 characters of A-Z a-z 0-9 _ -", unquoted(id));
  }
  const bytes = typeof secret === "string" ? fromBase64(secret) : secret;
  if (bytes instanceof Uint8Array && bytes.length === secretBytes) return { id, secret: createSecretKey(bytes) };
  const expectation = `${secretBytes} bytes, or their base64`;
  throw invalidOption(
    packageName,
    `${option}.secret`,
    expectation,
    bytes === undefined ? unquoted(secret) : sizeOf(bytes),
  );
}

/** Decodes strictly: a lenient decoder would turn a typing error into another key. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  const isCanonical = bytes.toString("base64") === text || bytes.toString("base64url") === text;
  return isCanonical ? bytes : undefined;
}

function firstOf(keys: ReadonlyMap<string, Key>): Key {
  const [first] = keys.values();
  // An empty list was refused before.
  if (first === undefined) throw new SessionError("UNAVAILABLE", `${packageName}: there is no encryption key`);
  return first;
}

/** A refused value may be the key itself: the message must not show it. */
function unquoted(value: unknown): unknown {
  return typeof value === "string" ? `a string of ${value.length} characters` : value;
}

function sizeOf(value: unknown): unknown {
  return value instanceof Uint8Array ? `${value.length} bytes` : value;
}
