export type Method = (...args: unknown[]) => unknown;

/** A store whose methods are wrapped, to fail or to wait where a test wants it. */
export function overriding<Store extends object>(
  store: Store,
  wrap: (method: string, original: Method) => Method,
): Store {
  return new Proxy(store, {
    get(target, name) {
      // Without it each read is a call of `get`, for the test to see.
      if (name === "peek") return undefined;
      // A proxy's handler knows no more of a member than that it was asked for.
      const member = Reflect.get(target, name) as unknown;
      return typeof member === "function" ? wrap(String(name), member.bind(target) as Method) : member;
    },
  });
}

/** A store that notes each method called on it. */
export function recording<Store extends object>(store: Store, calls: string[]): Store {
  return overriding(store, (method, original) => (...args) => {
    calls.push(method);
    return original(...args);
  });
}
