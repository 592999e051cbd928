/** These begin or continue a response. `_implicitHeader` is what compression calls to have the headers written. */
const heldMethods = ["writeHead", "write", "end", "flushHeaders", "_implicitHeader"] as const;
const headerMethods = ["setHeader", "appendHeader", "removeHeader"] as const;

export type HeldMethod = (typeof heldMethods)[number];
type AnyFunction = (this: unknown, ...args: never[]) => unknown;
type Methods = Record<HeldMethod | (typeof headerMethods)[number], AnyFunction>;

/** Methods that look for a hold, and the methods that they shadow. */
export interface Level {
  readonly under: Methods;
  readonly over: PropertyDescriptorMap;
  /** Prototype for responses whose own one must not be changed. */
  readonly prototype?: object;
}

/** The methods look for the hold of a response here. */
const holdKey = Symbol("sojourn.hold");

/** A response whose methods are redirected. */
export interface HeldResponse {
  readonly level: Level;
  readonly isHeld: boolean;
  readonly hasEnded: boolean;
  /** Runs in place of a method that begins or continues the response. */
  call(name: HeldMethod, args: unknown[]): unknown;
}

/** Redirects the methods of a response that {@link levelFor} has prepared. */
export function redirect(response: object, hold: HeldResponse): void {
  Reflect.set(response, holdKey, hold);
}

export function holdOf(response: object): HeldResponse | undefined {
  // Only `redirect` sets it.
  return (response as { [holdKey]?: HeldResponse })[holdKey];
}

export function headersSent(act: string): Error {
  const message = `Cannot ${act} headers after they are sent to the client`;
  return Object.assign(new Error(message), { code: "ERR_HTTP_HEADERS_SENT" });
}

const levels = new WeakMap<object, Level>();

/**
 * Returns the methods for a response.
 *
 * Express replaces the prototype of each response, and V8 is slow with such objects: four methods on the response itself cost
 * ten times as much as one symbol. So they are put once on the prototype that all applications of this Express share.
 */
export function levelFor(response: object): Level {
  // A middleware has wrapped the response: its methods would run before those of a prototype.
  if (heldMethods.some((name) => Object.hasOwn(response, name))) {
    const level = levelOver(response);
    Object.defineProperties(response, level.over);
    return level;
  }
  const prototype: object = Object.getPrototypeOf(response);
  const level = levels.get(prototype) ?? levelOfPrototype(prototype);
  if (level.prototype !== undefined) Object.setPrototypeOf(response, level.prototype);
  return level;
}

function levelOfPrototype(prototype: object): Level {
  const shared = sharedPrototype(prototype);
  let level = levels.get(shared ?? prototype);
  if (level === undefined && shared !== undefined) {
    level = levelOver(shared);
    Object.defineProperties(shared, level.over);
    levels.set(shared, level);
  } else if (level === undefined) {
    // Node's own prototype serves all servers of the process, and stays as it is.
    const plain = levelOver(prototype);
    level = { ...plain, prototype: Object.create(prototype, plain.over) };
  }
  levels.set(prototype, level);
  return level;
}

/** Returns the last prototype before Node's own, such as `express.response`; one that has the methods already, if any. */
function sharedPrototype(prototype: object): object | undefined {
  let shared: object | undefined;
  for (let at = prototype; !Object.hasOwn(at, "writeHead"); at = Object.getPrototypeOf(at)) {
    shared = at;
    const next: object = Object.getPrototypeOf(at);
    if (levels.has(next) && levels.get(next)?.prototype === undefined) return next;
  }
  return shared;
}

/** Makes methods over those of a response or a prototype. */
function levelOver(target: object): Level {
  const under = Object.fromEntries(
    [...heldMethods, ...headerMethods].map((name) => [name, Reflect.get(target, name)]),
  ) as Methods;
  const over: PropertyDescriptorMap = {};
  const level: Level = { under, over };
  const of = (response: object): HeldResponse | undefined => {
    const hold = holdOf(response);
    // A response that is wrapped, or of a mounted application, may have methods of several levels.
    return hold?.level.over === over ? hold : undefined;
  };
  for (const name of heldMethods) {
    // HTTP/2 has no `_implicitHeader`.
    if (under[name] === undefined) continue;
    over[name] = method(function (this: object, ...args: unknown[]) {
      const hold = of(this);
      return hold === undefined ? Reflect.apply(under[name], this, args) : hold.call(name, args);
    });
  }
  for (const name of headerMethods) {
    if (under[name] === undefined) continue;
    over[name] = method(function (this: object, ...args: unknown[]) {
      if (of(this)?.isHeld) throw headersSent(name === "removeHeader" ? "remove" : "set");
      return Reflect.apply(under[name], this, args);
    });
  }
  const isSent = getterOf(target, "headersSent");
  const isEnded = getterOf(target, "writableEnded");
  over.headersSent = getter(function (this: object) {
    return of(this)?.isHeld || Reflect.apply(isSent, this, []);
  });
  over.writableEnded = getter(function (this: object) {
    return of(this)?.hasEnded || Reflect.apply(isEnded, this, []);
  });
  return level;
}

function method(value: (this: object, ...args: unknown[]) => unknown): PropertyDescriptor {
  return { value, configurable: true, writable: true, enumerable: false };
}

function getter(get: (this: object) => unknown): PropertyDescriptor {
  return { get, configurable: true, enumerable: false };
}

/** Returns the getter of an inherited property. */
function getterOf(target: object, name: "headersSent" | "writableEnded"): () => unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
    const get = Object.getOwnPropertyDescriptor(at, name)?.get;
    if (get !== undefined) return get;
  }
  return () => undefined;
}
