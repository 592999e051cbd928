import { AsyncLocalStorage } from "node:async_hooks";
import { invalidOption, refuseUnknownOptions } from "@sojourn/core";

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
   * inner context has a value of its own. A getter among `values` stays one, and is asked each time.
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
}

export interface ContextOptions<Unset extends string | undefined = string | undefined> {
  /** What `get` answers where there is no value, such as `"unset"`. Default: `undefined`. */
  readonly unset?: Unset;
}

/** The values of one run; those of the run around it are its prototype. */
type Frame = Record<PropertyKey, unknown>;

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
  const frames = new AsyncLocalStorage<Frame>();
  return {
    runWithContext(values, fn) {
      return frames.run(makeFrame(values, frames.getStore()), fn);
    },
    getContext() {
      const frame = frames.getStore();
      return frame && allOf<Own>(frame);
    },
    get<Key extends keyof ContextValues<Own>>(key: Key) {
      // Only what `SomeValues<Own>` allows is ever put in.
      const value = frames.getStore()?.[key] as ContextValues<Own>[Key] | undefined;
      return value === undefined ? unset : value;
    },
    set(key, value) {
      const frame = frames.getStore();
      if (frame === undefined) return false;
      Object.defineProperty(frame, key, { value, enumerable: true, configurable: true });
      return true;
    },
  };
}

function makeFrame(values: object, outer: Frame | undefined): Frame {
  const frame: Frame = Object.create(outer ?? null);
  for (const key of Object.keys(values)) {
    // With its getter, if it has one. A frozen object's values may still be set anew.
    const property = Object.getOwnPropertyDescriptor(values, key);
    Object.defineProperty(frame, key, { ...property, configurable: true });
  }
  return frame;
}

function allOf<Own extends object>(frame: Frame): SomeValues<Own> {
  const entries: [string, unknown][] = [];
  // Also what is inherited.
  for (const key in frame) entries.push([key, frame[key]]);
  // Only what `SomeValues<Own>` allows is ever put in.
  return Object.fromEntries(entries) as SomeValues<Own>;
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
