import { type DeepReadonly, SessionError } from "@sojourn/core";

/**
 * The data of a session as a request may change it: by assigning to its keys, or deleting them. What came from the store is
 * frozen: put a changed copy in its place. Any key may be missing, as it is from a session that has just begun.
 */
export type SessionDraft<Data extends object> = {
  -readonly [Key in keyof Data]?: DeepReadonly<Data[Key]> | undefined;
};

/**
 * Tells what a request has changed since its data was last in step with the store. Values from there are frozen, so that
 * the keys whose value is another one are all that can have changed: nothing is compared by its JSON, and nothing is copied.
 */
export class Draft {
  #base: object;
  #data: Record<string, unknown> | undefined;
  #isFrozen = false;

  constructor(base: object) {
    this.#base = base;
  }

  /** The same object throughout a request. Without a prototype: no key leads anywhere but to the session's own data. */
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

  get isChanged(): boolean {
    return this.#data !== undefined && this.#changedKeys(this.#data).length > 0;
  }

  /** What this request has changed, applied to other data. */
  applyTo<Stored extends object>(stored: Stored): Stored {
    const data = this.#data;
    const keys = data === undefined ? [] : this.#changedKeys(data);
    if (data === undefined || keys.length === 0) return stored;
    const applied = withoutPrototype(stored);
    for (const key of keys) applied[key] = data[key];
    // Changed as its draft was, whose type follows from that of the stored data.
    return applied as Stored;
  }

  /** The data at this moment, as JSON: the request may go on changing it while it is being saved. @throws SessionError `ENCODE` */
  snapshot(): object {
    try {
      const snapshot: object = JSON.parse(JSON.stringify(this.data));
      return snapshot;
    } catch (cause) {
      throw new SessionError("ENCODE", "@sojourn/fastify: session data cannot be turned into JSON", { cause });
    }
  }

  /** The request goes on with its data, of which this much has been stored. */
  saved(snapshot: object): void {
    this.#base = snapshot;
  }

  /** The data at this moment, to tell by what it is changed from here on. */
  mark(): object {
    return { ...(this.#data ?? this.#base) };
  }

  /** The request goes on with what is stored by then, and with what it has changed since the mark. */
  rebase(base: object, mark: object): void {
    const since = new Draft(mark);
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
    for (const key of Object.keys(data)) delete data[key];
    Object.assign(data, base);
  }

  /** Any change from here on is a `TypeError`: it would be lost. */
  freeze(): void {
    this.#isFrozen = true;
    if (this.#data !== undefined) Object.freeze(this.#data);
  }

  #changedKeys(data: Record<string, unknown>): string[] {
    // What is not its own, such as "toString", differs from whatever the data holds under that name.
    const base = this.#base as Record<string, unknown>;
    const keys = new Set([...Object.keys(base), ...Object.keys(data)]);
    return [...keys].filter((key) => data[key] !== base[key]);
  }
}

function withoutPrototype(data: object): Record<string, unknown> {
  return Object.assign(Object.create(null) as Record<string, unknown>, data);
}
