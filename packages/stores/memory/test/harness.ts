import type { Clock, SessionStore } from "@sojourn/core";
import { MemoryStore } from "@sojourn/memory";
import type { ConformanceHarness } from "@sojourn/testkit";

/** A clock that a test moves. */
export class TestClock implements Clock {
  ms = 1_800_000_000_000;

  now(): number {
    return this.ms;
  }
}

export function memoryHarness(clock: TestClock = new TestClock()): ConformanceHarness {
  const stores = new Map<string, Shared>();
  const share = (namespace: string): Shared => {
    const shared = stores.get(namespace) ?? { store: new MemoryStore({ clock }), handles: 0 };
    stores.set(namespace, shared);
    return shared;
  };
  return {
    name: "memory",
    open: async (namespace) => handle(share(namespace)),
    openStepped: async (namespace, step) => stepped(handle(share(namespace)), step),
    async pass(ms) {
      clock.ms += ms;
    },
  };
}

interface Shared {
  readonly store: MemoryStore;
  handles: number;
}

/**
 * A store in memory has no second node: its sessions belong to one store. Opening a namespace again returns a handle on
 * the same store, and closing the last handle closes it. All other methods are the store's own; a closed handle behaves
 * as a closed store.
 */
function handle(shared: Shared): SessionStore {
  shared.handles += 1;
  let target = shared.store;
  const close = async (): Promise<void> => {
    if (target !== shared.store) return;
    target = new MemoryStore();
    await target.close();
    shared.handles -= 1;
    if (shared.handles === 0) await shared.store.close();
  };
  return forward(
    () => target,
    (name, method) => (name === "close" ? close : method),
  );
}

/** The store sends no requests, so it is held before each operation, which is its only step. */
function stepped(store: SessionStore, step: () => Promise<void>): SessionStore {
  return forward(
    () => store,
    (name, method) => {
      if (name === "scan" || name === "close") return method;
      return async (...args) => {
        await step();
        return method(...args);
      };
    },
  );
}

type Method = (...args: readonly unknown[]) => unknown;

function forward(target: () => SessionStore, wrap: (name: PropertyKey, method: Method) => Method): SessionStore {
  return new Proxy(target(), {
    get(_, name) {
      const store = target();
      const member: unknown = Reflect.get(store, name, store);
      return typeof member === "function" ? wrap(name, member.bind(store) as Method) : member;
    },
  });
}
