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

export function memoryHarness(): ConformanceHarness {
  const clock = new TestClock();
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
 * What a second node is to other backends does not exist here: sessions in memory belong to one store. Whoever opens a
 * namespace again gets a handle on the same store, and the last handle to be closed closes it. Everything else is the
 * store itself; a handle that was closed is a store that was closed.
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

/** A store that sends no requests is held before each operation: that is the one step that it takes. */
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
