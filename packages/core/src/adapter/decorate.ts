import type { SessionStore } from "../contract/store.js";
import { guardMark } from "./driver-store.js";
import { isGuarded } from "./guard-store.js";

/**
 * Returns a store that behaves as `store`, except for the members in `overrides`.
 *
 * An override passes its `call` on to the store behind it, which then keeps the deadline of the whole operation. An
 * override that makes several calls passes `{ deadline }`, because a duration passed twice would allow twice the time.
 */
export function decorate(store: SessionStore, overrides: Partial<SessionStore>): SessionStore {
  const { peek, onEvicted } = store;
  const decorated: SessionStore = {
    capabilities: store.capabilities,
    create: (...args) => store.create(...args),
    get: (...args) => store.get(...args),
    update: (...args) => store.update(...args),
    touch: (...args) => store.touch(...args),
    rename: (...args) => store.rename(...args),
    destroy: (...args) => store.destroy(...args),
    listByUser: (...args) => store.listByUser(...args),
    destroyByUser: (...args) => store.destroyByUser(...args),
    sweep: (...args) => store.sweep(...args),
    scan: (...args) => store.scan(...args),
    count: (...args) => store.count(...args),
    clear: (...args) => store.clear(...args),
    close: () => store.close(),
    ...(peek && { peek: (id: string) => peek.call(store, id) }),
    ...(onEvicted && { onEvicted: (listener: Parameters<typeof onEvicted>[0]) => onEvicted.call(store, listener) }),
    ...overrides,
  };
  if (isGuarded(store)) Object.defineProperty(decorated, guardMark, { value: decorated });
  return decorated;
}
