/**
 * Property of a request with `id` and `userId` of its session if it has been loaded; reading it loads nothing. Registered
 * globally, because a bridge and the packages that log do not know each other.
 */
export const loadedSessionKey: unique symbol = Symbol.for("sojourn.loadedSession");

const keys = new WeakMap<object, symbol>();

/** Returns the property of a request that holds its session of this manager. */
export function managerKey(manager: object): symbol {
  const key = keys.get(manager) ?? Symbol("sojourn.manager");
  keys.set(manager, key);
  return key;
}
