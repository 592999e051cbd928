import { encodeError } from "../content/codec.js";
import { applyKeys } from "../content/merge.js";
import { isSameValue } from "../content/same-value.js";
import { copyValue } from "./copy-value.js";
import { DraftData, type Values } from "./draft-data.js";

/**
 * The session data that a request may change: assign to its keys, delete them, or change their values in place. Any key may
 * be missing, because a new session has none.
 */
export type SessionDraft<Data extends object> = {
  -readonly [Key in keyof Data]?: Data[Key] | undefined;
};

/**
 * Tracks the changes of a request to its session data, key by key.
 *
 * A key has changed if its value differs from the value in the baseline. A request that reads only primitives copies and
 * compares nothing. An object that a request has read is a copy, and is compared with the baseline at the save.
 */
export class Draft {
  #base: object;
  #refusal: string | undefined;
  #onUse: (() => void) | undefined;
  #loaded: DraftData | undefined;

  constructor(base: object) {
    this.#base = base;
  }

  /** The same object throughout a request. */
  get data(): Record<string, unknown> {
    if (this.#loaded === undefined) {
      this.#loaded = new DraftData(this.#base, this.#refusal);
      this.#loaded.onUse = this.#onUse;
    }
    return this.#loaded.data;
  }

  /** Called when the application next uses the data. It may hold a value and change it then. */
  set onUse(listener: (() => void) | undefined) {
    this.#onUse = listener;
    if (this.#loaded !== undefined) this.#loaded.onUse = listener;
  }

  /** Baseline of the changes: the data when it last equalled the stored data. */
  get base(): object {
    return this.#base;
  }

  get isEmpty(): boolean {
    return Object.values(this.#loaded?.values ?? this.#base).every((value) => value === undefined);
  }

  get isChanged(): boolean {
    if (this.#loaded === undefined) return false;
    const { values } = this.#loaded;
    const isKept = (key: string): boolean => isSame(values, this.#base, key);
    return !Object.keys(values).every(isKept) || !Object.keys(this.#base).every((key) => key in values || isKept(key));
  }

  /**
   * Copies the data of this moment. The request may go on changing it while the copy is being saved. Unchanged values are
   * the baseline's own.
   *
   * @throws SessionError `ENCODE`
   */
  snapshot(): object {
    const values = this.#loaded?.values;
    if (values === undefined) return this.#base;
    const entries = Object.keys(values).map((key): [string, unknown] => [
      key,
      isSame(values, this.#base, key) ? own(this.#base, key) : copyOf(values[key]),
    ]);
    return Object.fromEntries(entries);
  }

  /** Applies the changes of a snapshot to other data. Returns the same object when there are none. */
  applyTo(stored: object, snapshot: object): object {
    const set = new Map<string, unknown>();
    for (const [key, value] of Object.entries(snapshot))
      if (!Object.is(value, own(this.#base, key))) set.set(key, value);
    const deleted = new Set(Object.keys(this.#base).filter((key) => !Object.hasOwn(snapshot, key)));
    return set.size + deleted.size === 0 ? stored : applyKeys(stored, { set, deleted });
  }

  /** Makes a snapshot that has been saved the new baseline. */
  saved(snapshot: object): void {
    this.#setBase(snapshot);
  }

  /**
   * Makes stored data the new baseline, and keeps the changes made since the snapshot. Values that the application holds
   * stay part of the data where they equal the stored ones.
   */
  rebase(base: object, snapshot: object): void {
    this.#replace(base, (loaded, key) => {
      if (loaded.isUntouched(key, loaded.values[key])) return false;
      return !isSame(loaded.values, snapshot, key) || isSame(loaded.values, base, key);
    });
  }

  /** Replaces data and baseline. Values that the application holds are no longer part of the data. */
  reset(base: object): void {
    this.#replace(base, () => false);
  }

  /** Makes every later change throw a `TypeError` with this message, because it would be lost. */
  refuseChanges(message: string): void {
    this.#refusal = message;
    if (this.#loaded !== undefined) this.#loaded.refusal = message;
  }

  #replace(base: object, isKept: (loaded: DraftData, key: string) => boolean): void {
    const loaded = this.#loaded;
    if (loaded !== undefined) {
      for (const key of new Set([...Object.keys(loaded.values), ...Object.keys(base)])) {
        if (isKept(loaded, key)) continue;
        if (Object.hasOwn(base, key)) loaded.values[key] = own(base, key);
        else delete loaded.values[key];
      }
    }
    this.#setBase(base);
  }

  #setBase(base: object): void {
    this.#base = base;
    if (this.#loaded !== undefined) this.#loaded.base = base;
  }
}

function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key as keyof typeof object] : undefined;
}

/** Whether a key has the same value in both. A missing key equals `undefined`, which JSON leaves out. */
function isSame(values: Values, base: object, key: string): boolean {
  try {
    return isSameValue(values[key], own(base, key));
  } catch {
    // The save reports values that JSON cannot hold.
    return false;
  }
}

function copyOf(value: unknown): unknown {
  try {
    return copyValue(value);
  } catch (cause) {
    throw encodeError(cause);
  }
}
