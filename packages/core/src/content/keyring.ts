import { createSecretKey, type KeyObject } from "node:crypto";
import { invalidOption, refuseUnknownOptions, SessionError } from "../contract/errors.js";
import { withTimeout } from "../contract/timeout.js";
import { keyIdPattern } from "./envelope.js";

/** A key that encrypts sessions. */
export interface EncryptionKey {
  /** Stands in every envelope: 1 to 32 characters of `A-Z a-z 0-9 _ -`. Never give one id to two secrets. */
  readonly id: string;
  /** 32 random bytes, or their base64 or base64url (`openssl rand -base64 32`). Copied: the caller may clear its own. */
  readonly secret: Uint8Array | string;
}

/** Fetches the keys from where they are kept: a KMS, a file. The first writes, all read. */
export type EncryptionKeyProvider = () => readonly EncryptionKey[] | Promise<readonly EncryptionKey[]>;

/** A key in use. */
export interface Key {
  readonly id: string;
  /** Shows nothing of itself to `inspect` or JSON. */
  readonly secret: KeyObject;
  /** How often this process has encrypted with it. */
  messages: number;
}

export interface Keyring {
  /** The key that writes. @throws SessionError `UNAVAILABLE` */
  first(): Key | Promise<Key>;
  /** A key that reads; `undefined` only when it is certainly not among the keys. @throws SessionError `UNAVAILABLE` */
  find(id: string): Key | undefined | Promise<Key | undefined>;
}

const packageName = "@sojourn/core";
const secretBytes = 32;

/** Keys by value. @throws SessionError `INVALID_OPTION` */
export function fixedKeyring(given: readonly EncryptionKey[]): Keyring {
  const keys = resolveKeys(given, new Map());
  return { first: () => firstOf(keys), find: (id) => keys.get(id) };
}

/** A load begins at the earliest so long after the one before. */
const pauseMs = 1_000;
/** While the provider fails, the keys that it gave last are in use, and it is asked this often; so for a key that it lacks. */
const retryMs = 10_000;
/** A provider that does not answer for so long has failed. */
const providerTimeoutMs = 5_000;
/** Ids known not to be keys, for the moment: a provider may learn of one later than the process that writes with it. More of them come from nobody's rotation. */
const maxAbsent = 1_000;

/** Keys from a provider, loaded on first use, when they are `cacheMs` old, and when an id turns up that is not among them. */
export class ProvidedKeyring implements Keyring {
  readonly #provide: EncryptionKeyProvider;
  readonly #cacheMs: number;
  readonly #onFailure: (error: SessionError) => void;
  /** Until when an id is taken for no key. */
  readonly #absent = new Map<string, number>();
  #keys: ReadonlyMap<string, Key> = new Map();
  #dueAt = Number.NEGATIVE_INFINITY;
  #beganAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;
  /** Whether there are keys, and the last load has failed. */
  #isFailing = false;
  /** Loads are numbered: how many have begun, and the last that succeeded. */
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
    // Another process may write with a new key already. A load under way may have begun before there was one.
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

  /** Fails only while no keys have ever been had: those that the provider gave last are better than an outage. */
  async #refreshWhenDue(): Promise<void> {
    if (performance.now() < this.#dueAt) return;
    const loaded = this.#keys.size === 0 ? this.#load() : this.#load().catch(() => {});
    // A provider that has failed is asked beside the calls: else each time that it hangs they would all wait for it.
    if (!this.#isFailing) await loaded;
  }

  /** One load for all who wait for one. */
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

/** A key that was there before goes on counting. @throws SessionError `INVALID_OPTION` */
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

/** Strictly: what a lenient decoder makes of a typing error is another key. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  const isCanonical = bytes.toString("base64") === text || bytes.toString("base64url") === text;
  return isCanonical ? bytes : undefined;
}

function firstOf(keys: ReadonlyMap<string, Key>): Key {
  const [first] = keys.values();
  // Lists without a key are refused.
  if (first === undefined) throw new SessionError("UNAVAILABLE", `${packageName}: there is no encryption key`);
  return first;
}

/** A value in the place of a key may be the key. */
function unquoted(value: unknown): unknown {
  return typeof value === "string" ? `a string of ${value.length} characters` : value;
}

function sizeOf(value: unknown): unknown {
  return value instanceof Uint8Array ? `${value.length} bytes` : value;
}
