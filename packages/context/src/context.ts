import { AsyncLocalStorage } from "node:async_hooks";
import { invalidOption, refuseUnknownOptions } from "@sojourn/core/bridge";

/** What a request is known by. */
export interface RequestValues {
  readonly requestId: string;
  /** The storage id: the hash of what the client holds, safe to log. */
  readonly sessionId: string;
  readonly userId: string;
}

/** Everything that a context may hold. An own key of the same name takes the place of ours. */
export type ContextValues<Own extends object = object> = Omit<RequestValues, keyof Own> & Own;

/** Some of the values. One that is `undefined` hides what an outer context says. */
export type SomeValues<Own extends object = object> = {
  readonly [Key in keyof ContextValues<Own>]?: ContextValues<Own>[Key] | undefined;
};

/**
 * Values that follow a call wherever it goes: through promises, timers, streams and drivers.
 *
 * The members are functions of their own and may be taken apart: `export const { get } = createContext()`.
 *
 * @typeParam Own - the application's own keys
 * @typeParam Unset - what `get` answers where there is no value
 */
export interface Context<Own extends object = object, Unset = undefined> {
  /**
   * Runs `fn`, and whatever it starts, in a context of these values and those of the context around it.
   *
   * What is set inside shows neither outside nor in another run. What is set outside later shows inside, unless the
   * inner context has a value of its own. `values` are read when they are asked for: a getter says what holds then.
   *
   * @returns what `fn` returns
   */
  readonly runWithContext: <Result>(values: SomeValues<Own>, fn: () => Result) => Result;
  /** A copy of all values of this moment; `undefined` outside any context. */
  readonly getContext: () => SomeValues<Own> | undefined;
  /** One value of this moment; where there is none, or no context, what the option `unset` says. */
  readonly get: <Key extends keyof ContextValues<Own>>(key: Key) => ContextValues<Own>[Key] | Unset;
  /**
   * Sets a value for the rest of the innermost run, and for the runs within it.
   *
   * @returns false outside any context, where nothing is set
   */
  readonly set: <Key extends keyof ContextValues<Own>>(key: Key, value: ContextValues<Own>[Key] | undefined) => boolean;
  /** Captures the context of this moment: the function returned runs others in it, wherever it is called. */
  readonly snapshot: () => <Result>(fn: () => Result) => Result;
}

export interface ContextOptions<Unset extends string | undefined = string | undefined> {
  /** What `get` answers where there is no value, such as `"unset"`. Default: `undefined`. */
  readonly unset?: Unset;
}

/** One run. */
interface Frame {
  readonly values: Readonly<Record<PropertyKey, unknown>>;
  readonly outer: Frame | undefined;
  /** What was set since, over `values`. */
  written: Map<PropertyKey, unknown> | undefined;
}

/**
 * Makes a context, usually one for an application, exported by a module of its own.
 *
 * This package keeps no state beside it: an ESM and a CommonJS copy in one process cannot disagree.
 *
 * @throws SessionError `INVALID_OPTION`
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

/** The innermost value, also one that is `undefined`. */
function find(innermost: Frame | undefined, key: PropertyKey): unknown {
  for (let frame = innermost; frame !== undefined; frame = frame.outer) {
    const { values, written } = frame;
    if (written?.has(key)) return written.get(key);
    if (holds(values, key)) return values[key];
  }
  return undefined;
}

/** Getters of the object's class count as well. What every object has does not. */
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
