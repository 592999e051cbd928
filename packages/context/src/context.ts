import { AsyncLocalStorage } from "node:async_hooks";
import { invalidOption, refuseUnknownOptions } from "@sojourn/core/bridge";

/** The identifiers of a request. */
export interface RequestValues {
  readonly requestId: string;
  /** The storage id of the session: a hash, safe to log. */
  readonly sessionId: string;
  readonly userId: string;
}

/** All values of a context. An own key replaces ours of the same name. */
export type ContextValues<Own extends object = object> = Omit<RequestValues, keyof Own> & Own;

/** Some of the values. A value of `undefined` hides the value of an outer context. */
export type SomeValues<Own extends object = object> = {
  readonly [Key in keyof ContextValues<Own>]?: ContextValues<Own>[Key] | undefined;
};

/**
 * Values that follow a call through promises, timers, streams and drivers.
 *
 * The members are independent functions: `export const { get } = createContext()` works.
 *
 * @typeParam Own - the application's own keys
 * @typeParam Unset - the result of `get` for a key without a value
 */
export interface Context<Own extends object = object, Unset = undefined> {
  /**
   * Runs `fn`, and all asynchronous work that it starts, in a context of these values and those of the outer context.
   *
   * A value set inside is visible neither outside nor in another run. A value set outside later is visible inside,
   * unless the inner context has its own. Getters in `values` are called at each access.
   *
   * @returns the result of `fn`
   */
  readonly runWithContext: <Result>(values: SomeValues<Own>, fn: () => Result) => Result;
  /** Returns a copy of all current values; `undefined` outside any context. */
  readonly getContext: () => SomeValues<Own> | undefined;
  /** Returns one current value; without a value or a context, the option `unset`. */
  readonly get: <Key extends keyof ContextValues<Own>>(key: Key) => ContextValues<Own>[Key] | Unset;
  /**
   * Sets a value for the rest of the innermost run, and for the runs within it.
   *
   * @returns false outside any context, where it sets nothing
   */
  readonly set: <Key extends keyof ContextValues<Own>>(key: Key, value: ContextValues<Own>[Key] | undefined) => boolean;
  /** Captures the current context. The returned function runs other functions in it, wherever it is called. */
  readonly snapshot: () => <Result>(fn: () => Result) => Result;
}

export interface ContextOptions<Unset extends string | undefined = string | undefined> {
  /** The result of `get` for a key without a value, such as `"unset"`. Default: `undefined`. */
  readonly unset?: Unset;
}

/** One run. */
interface Frame {
  readonly values: Readonly<Record<PropertyKey, unknown>>;
  readonly outer: Frame | undefined;
  /** The values set during the run. They override `values`. */
  written: Map<PropertyKey, unknown> | undefined;
}

/**
 * Makes a context. An application usually has one, exported by a module.
 *
 * The package keeps no other state: an ESM and a CommonJS copy in one process cannot disagree.
 *
 * @throws SessionError `INVALID_OPTION`
 * @example
 * ```ts
 * import { createContext } from "@sojourn/context";
 *
 * const { runWithContext, get } = createContext<{ tenant: string }>();
 * await runWithContext({ requestId: "r1", tenant: "acme" }, async () => {
 *   await Promise.resolve();
 *   console.log(get("requestId"), get("tenant")); // r1 acme
 * });
 * ```
 */
export function createContext<Own extends object = object>(options: ContextOptions<string>): Context<Own, string>;
export function createContext<Own extends object = object>(options?: ContextOptions<undefined>): Context<Own>;
export function createContext<Own extends object = object>(
  options: ContextOptions = {},
): Context<Own, string | undefined> {
  const { unset } = resolveOptions(options);
  const frames = new AsyncLocalStorage<Frame | undefined>();
  return {
    runWithContext(values, fn) {
      return frames.run({ values, outer: frames.getStore(), written: undefined }, fn);
    },
    getContext() {
      const frame = frames.getStore();
      // Only what `SomeValues<Own>` allows is ever put in.
      return frame && (Object.fromEntries(allOf(frame)) as SomeValues<Own>);
    },
    get<Key extends keyof ContextValues<Own>>(key: Key) {
      // Only what `SomeValues<Own>` allows is ever put in.
      const value = find(frames.getStore(), key) as ContextValues<Own>[Key] | undefined;
      return value === undefined ? unset : value;
    },
    set(key, value) {
      const frame = frames.getStore();
      if (frame === undefined) return false;
      frame.written ??= new Map();
      frame.written.set(key, value);
      return true;
    },
    snapshot() {
      const frame = frames.getStore();
      return (fn) => frames.run(frame, fn);
    },
  };
}

/** Returns the innermost value, also when it is `undefined`. */
function find(innermost: Frame | undefined, key: PropertyKey): unknown {
  for (let frame = innermost; frame !== undefined; frame = frame.outer) {
    const { values, written } = frame;
    if (written?.has(key)) return written.get(key);
    if (holds(values, key)) return values[key];
  }
  return undefined;
}

/** Includes the getters of the object's class, and no member that every object has. */
function holds(values: object, key: PropertyKey): boolean {
  return Object.hasOwn(values, key) || (key in values && !(key in Object.prototype));
}

function allOf({ values, outer, written = new Map() }: Frame): Map<PropertyKey, unknown> {
  const all = outer === undefined ? new Map<PropertyKey, unknown>() : allOf(outer);
  for (const key in values) if (holds(values, key) && !written.has(key)) all.set(key, values[key]);
  for (const [key, value] of written) all.set(key, value);
  return all;
}

function resolveOptions(options: ContextOptions): ContextOptions {
  const packageName = "@sojourn/context";
  if (typeof options !== "object" || options === null)
    throw invalidOption(packageName, "options", "an object", options);
  refuseUnknownOptions(packageName, options, ["unset"]);
  const { unset } = options;
  if (unset !== undefined && typeof unset !== "string") throw invalidOption(packageName, "unset", "a string", unset);
  return options;
}
