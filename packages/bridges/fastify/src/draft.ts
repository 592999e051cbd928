import { type DeepReadonly, SessionError } from "@sojourn/core/bridge";

/**
 * The data of a session as a request may change it: by assigning to its keys, or deleting them. What came from the store is
 * frozen: put a changed copy in its place. Any key may be missing, as it is from a session that has just begun.
 */
export type SessionDraft<Data extends object> = {
  -readonly [Key in keyof Data]?: DeepReadonly<Data[Key]> | undefined;
};

/**
 * Tells what a request has changed since its data was last in step with the store. Values from there are frozen, so that
 * the keys whose value is another one are all that can have changed: a request that only reads copies nothing, and compares
 * no JSON. Values that the request has put there stay its own, and are copied for the store.
 */
export class Draft {
  #base: object;
  #data: Record<string, unknown> | undefined;
  #isFrozen = false;

  constructor(base: object) {
    this.#base = base;
  }

  /** The same object throughout a request. It inherits nothing: no key leads anywhere but to the session's own data. */
  get data(): Record<string, unknown> {
    if (this.#data === undefined) {
      this.#data = withoutPrototype(this.#base);
      if (this.#isFrozen) Object.freeze(this.#data);
    }
    return this.#data;
  }

  /** What the data held when it was last in step with the store. */
  get base(): object {
    return this.#base;
  }

  get isEmpty(): boolean {
    return Object.values(this.#data ?? this.#base).every((value) => value === undefined);
  }

  /** Whether anything may have changed: a value that was put there and has been stored since still counts. */
  get isChanged(): boolean {
    return this.#data !== undefined && this.#changedKeys(this.#data).length > 0;
  }

  /** What this request has changed, applied to other data. */
  applyTo<Stored extends object>(stored: Stored): Stored {
    const data = this.#data;
    const base = this.#base as Record<string, unknown>;
    // What has been stored already may have been changed by others since.
    const keys = data === undefined ? [] : this.#changedKeys(data).filter((key) => !isSame(data[key], base[key]));
    if (data === undefined || keys.length === 0) return stored;
    const applied = withoutPrototype(stored);
    for (const key of keys) applied[key] = data[key];
    // Changed as its draft was, whose type follows from that of the stored data.
    return applied as Stored;
  }

  /**
   * The data at this moment, as JSON, to be stored or to tell by it what is changed from here on: the request may go on
   * changing it meanwhile. @throws SessionError `ENCODE`
   */
  snapshot(): object {
    const data = this.#data ?? {};
    const changed = this.#data === undefined ? [] : this.#changedKeys(this.#data);
    const unchanged = Object.entries(this.#base).filter(([key]) => !changed.includes(key));
    try {
      const copy: object = JSON.parse(JSON.stringify(Object.fromEntries(changed.map((key) => [key, data[key]]))));
      return Object.fromEntries([...unchanged, ...Object.entries(copy)]);
    } catch (cause) {
      throw new SessionError("ENCODE", "@sojourn/fastify: session data cannot be turned into JSON", { cause });
    }
  }

  /** The request goes on with its data, of which this much has been stored. */
  saved(snapshot: object): void {
    this.#base = snapshot;
  }

  /** The request goes on with what is stored by then, and with what it has changed since the snapshot. */
  rebase(base: object, snapshot: object): void {
    const since = new Draft(snapshot);
    since.#data = this.data;
    this.reset(since.applyTo(base));
    this.#base = base;
  }

  /** The request goes on with other data. */
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
      // The application may still hold the value that it has put there, and change it.
      if (!isSame(data[key], value)) data[key] = value;
    }
  }

  /** Any change from here on is a `TypeError`: it would be lost. */
  freeze(): void {
    this.#isFrozen = true;
    if (this.#data !== undefined) Object.freeze(this.#data);
  }

  #changedKeys(data: Record<string, unknown>): string[] {
    // What is not its own, such as "toString", differs from whatever the data holds under that name.
    const base = this.#base as Record<string, unknown>;
    const deleted = Object.keys(base).filter((key) => base[key] !== undefined && !(key in data));
    return deleted.concat(Object.keys(data).filter((key) => data[key] !== base[key]));
  }
}

function withoutPrototype(data: object): Record<string, unknown> {
  return Object.assign(Object.create(nothing) as Record<string, unknown>, data);
}

/** Nothing to inherit. V8 keeps an object whose prototype is `null` as a dictionary, which is four times as slow. */
const nothing: object = Object.freeze(Object.create(null));

/** By their JSON, as the store will compare them. */
function isSame(value: unknown, other: unknown): boolean {
  if (value === other || typeof value !== "object") return value === other;
  try {
    return JSON.stringify(value) === JSON.stringify(other);
  } catch {
    return false;
  }
}
