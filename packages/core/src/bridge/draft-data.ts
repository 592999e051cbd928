import { copyValue } from "./copy-value.js";

/** Values by key. They inherit nothing, so every key is session data. */
export type Values = Record<string | symbol, unknown>;

/**
 * The handler of the Proxy that an application sees as its session data. It behaves as a plain object.
 *
 * Values of the baseline are frozen and shared. The first `get` of a key replaces such a value by a copy, which the
 * application may change in place. Keys, `in` and reads of primitives copy nothing.
 */
export class DraftData implements ProxyHandler<Values> {
  readonly data: Values;
  readonly values: Values;
  base: object;
  /** The reason why nothing may be changed any more. Values are then not copied. */
  refusal: string | undefined;
  onUse: (() => void) | undefined = undefined;

  constructor(base: object, refusal: string | undefined) {
    this.base = base;
    this.refusal = refusal;
    this.values = Object.assign(Object.create(draftPrototype) as Values, base);
    this.data = new Proxy(this.values, this);
  }

  get(values: Values, key: string | symbol): unknown {
    this.onUse?.();
    const value = values[key];
    if (!this.isUntouched(key, value) || this.refusal !== undefined) return value;
    const copy = copyValue(value);
    values[key] = copy;
    return copy;
  }

  /** Whether a value is the baseline's own object, which is not copied yet. */
  isUntouched(key: string | symbol, value: unknown): boolean {
    return typeof value === "object" && value !== null && value === (this.base as Values)[key];
  }

  set(values: Values, key: string | symbol, value: unknown, receiver: unknown): boolean {
    // An object that inherits from the session data gets a property of its own.
    if (receiver !== this.data) return Reflect.set(values, key, value, receiver);
    this.#assign(values, key, value);
    return true;
  }

  deleteProperty(values: Values, key: string | symbol): boolean {
    this.onUse?.();
    this.#requireWritable();
    return Reflect.deleteProperty(values, key);
  }

  defineProperty(values: Values, key: string | symbol, descriptor: PropertyDescriptor): boolean {
    const wanted = { ...Object.getOwnPropertyDescriptor(values, key), ...descriptor };
    if (!wanted.writable || !wanted.enumerable || !wanted.configurable) {
      throw new TypeError("@sojourn/core: session data holds plain values only: assign the value");
    }
    this.#assign(values, key, wanted.value);
    return true;
  }

  preventExtensions(): boolean {
    throw new TypeError("@sojourn/core: session data cannot be frozen or sealed; a copy can: { ...session.data }");
  }

  setPrototypeOf(): boolean {
    throw new TypeError("@sojourn/core: session data inherits nothing");
  }

  #assign(values: Values, key: string | symbol, value: unknown): void {
    this.onUse?.();
    this.#requireWritable();
    // The application took this value from the stored session. A value that it assigned must not count as untouched.
    values[key] = this.isUntouched(key, value) ? copyValue(value) : value;
  }

  #requireWritable(): void {
    if (this.refusal !== undefined) throw new TypeError(this.refusal);
  }
}

/**
 * Inherits nothing. V8 keeps an object whose prototype is `null` as a dictionary, which is four times slower. Node prints
 * the target of a Proxy; by this member it prints session data like any plain object.
 */
const draftPrototype: object = Object.freeze(
  Object.create(null, {
    [Symbol.for("nodejs.util.inspect.custom")]: {
      value(this: object): object {
        return { ...this };
      },
    },
  }),
);
