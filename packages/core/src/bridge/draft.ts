import type { DeepReadonly } from "../content/freeze.js";
import { SessionError } from "../contract/errors.js";

/**
 * The session data that a request may change: assign to its keys, or delete them. Values from the store are frozen: replace
 * them with a changed copy. Any key may be missing, because a new session has none.
 */
export type SessionDraft<Data extends object> = {
  -readonly [Key in keyof Data]?: DeepReadonly<Data[Key]> | undefined;
};

/**
 * Tracks the changes of a request to its session data, key by key.
 *
 * Values from the store are frozen, so a key can only have changed if it holds another value than the baseline. A request
 * that only reads copies nothing and compares no JSON. Values that the request assigned stay its own, and are copied for the
 * store.
 */
export class Draft {
  #base: object;
  #data: Record<string, unknown> | undefined;
  #isFrozen = false;

  constructor(base: object) {
    this.#base = base;
  }

  /** The same object throughout a request. It inherits nothing, so every key is session data. */
  get data(): Record<string, unknown> {
    if (this.#data === undefined) {
      this.#data = withoutPrototype(this.#base);
      if (this.#isFrozen) Object.freeze(this.#data);
    }
    return this.#data;
  }

  /** Baseline of the changes: the data when it last equalled the stored data. */
  get base(): object {
    return this.#base;
  }

  get isEmpty(): boolean {
    return Object.values(this.#data ?? this.#base).every((value) => value === undefined);
  }

  /** Whether anything may have changed. A value that the request assigned counts even after a save: it may be mutated. */
  get isChanged(): boolean {
    return this.#data !== undefined && this.#changedKeys(this.#data).length > 0;
  }

  /** Applies the changes of this request to other data. Returns the same object when there are none. */
  applyTo<Stored extends object>(stored: Stored): Stored {
    const data = this.#data;
    const base = this.#base as Record<string, unknown>;
    // A value that has been saved already must not overwrite a later change by another request.
    const keys = data === undefined ? [] : this.#changedKeys(data).filter((key) => !isSame(data[key], base[key]));
    if (data === undefined || keys.length === 0) return stored;
    const applied = withoutPrototype(stored);
    for (const key of keys) applied[key] = data[key];
    // The draft's type follows from the type of the stored data.
    return applied as Stored;
  }

  /**
   * Copies the data of this moment, as JSON. The request may go on changing it while the copy is being saved.
   *
   * @throws SessionError `ENCODE`
   */
  snapshot(): object {
    const data = this.#data ?? {};
    const changed = this.#data === undefined ? [] : this.#changedKeys(this.#data);
    const unchanged = Object.entries(this.#base).filter(([key]) => !changed.includes(key));
    try {
      const copy: object = JSON.parse(JSON.stringify(Object.fromEntries(changed.map((key) => [key, data[key]]))));
      return Object.fromEntries([...unchanged, ...Object.entries(copy)]);
    } catch (cause) {
      throw new SessionError("ENCODE", "@sojourn/core: session data cannot be turned into JSON", { cause });
    }
  }

  /** Makes a snapshot that has been saved the new baseline. */
  saved(snapshot: object): void {
    this.#base = snapshot;
  }

  /** Makes stored data the new baseline, and applies the changes made since the snapshot to it. */
  rebase(base: object, snapshot: object): void {
    const since = new Draft(snapshot);
    since.#data = this.data;
    this.reset(since.applyTo(base));
    this.#base = base;
  }

  /** Replaces data and baseline. */
  reset(base: object): void {
    this.#base = base;
    const data = this.#data;
    if (data === undefined) return;
    if (this.#isFrozen) {
      this.#data = undefined;
      return;
    }
    for (const key of Object.keys(data)) if (!Object.hasOwn(base, key)) delete data[key];
    for (const [key, value] of Object.entries(base)) {
      // The application may still hold the value that it assigned, and change it.
      if (!isSame(data[key], value)) data[key] = value;
    }
  }

  /** Makes every later change throw a `TypeError`, because it would be lost. */
  freeze(): void {
    this.#isFrozen = true;
    if (this.#data !== undefined) Object.freeze(this.#data);
  }

  #changedKeys(data: Record<string, unknown>): string[] {
    // An inherited member of the baseline, such as "toString", differs from any value under that key.
    const base = this.#base as Record<string, unknown>;
    const deleted = Object.keys(base).filter((key) => base[key] !== undefined && !(key in data));
    return deleted.concat(Object.keys(data).filter((key) => data[key] !== base[key]));
  }
}

function withoutPrototype(data: object): Record<string, unknown> {
  return Object.assign(Object.create(emptyPrototype) as Record<string, unknown>, data);
}

/** Inherits nothing. V8 keeps an object whose prototype is `null` as a dictionary, which is four times slower. */
const emptyPrototype: object = Object.freeze(Object.create(null));

/** Compares by JSON, as the store will. */
function isSame(value: unknown, other: unknown): boolean {
  if (value === other || typeof value !== "object") return value === other;
  try {
    return JSON.stringify(value) === JSON.stringify(other);
  } catch {
    return false;
  }
}
