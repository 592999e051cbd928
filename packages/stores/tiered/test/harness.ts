import { MemoryBus, type SessionBus, type SessionStore } from "@sojourn/core";
import { type Clock, decorate } from "@sojourn/core/adapter";
import type { ConformanceHarness } from "@sojourn/testkit";
import { TieredStore } from "@sojourn/tiered";

interface TieredHarnessOptions {
  readonly name: string;
  readonly inner: ConformanceHarness;
  /** The one bus of a namespace. Default: one within the process. */
  readonly openBus?: () => SessionBus;
  readonly clock?: Clock;
  /** Tells of every touch, as no store does: all nodes then see the latest deadline. */
  readonly tellsTouches?: boolean;
}

/** Tiered stores in front of the stores of another harness. */
export function tieredHarness(options: TieredHarnessOptions): ConformanceHarness {
  const { name, inner, openBus = () => new MemoryBus(), clock, tellsTouches = false } = options;
  const buses = new Map<string, SessionBus>();
  const busOf = (namespace: string): SessionBus => {
    const bus = buses.get(namespace) ?? openBus();
    buses.set(namespace, bus);
    return bus;
  };
  const tiered = (namespace: string, l2: SessionStore): SessionStore => {
    const bus = busOf(namespace);
    const telling = tellsTouches ? tellTouches(l2, bus) : l2;
    return new TieredStore({ l2: telling, bus, maxStale: "1h", ...(clock && { clock }) });
  };
  const { openStepped, corrupt } = inner;
  return {
    ...inner,
    name,
    open: async (namespace) => tiered(namespace, await inner.open(namespace)),
    ...(openStepped && {
      openStepped: async (namespace, step) => tiered(namespace, await openStepped.call(inner, namespace, step)),
    }),
    ...(corrupt && {
      // A writer that goes past the stores has to tell the bus itself.
      corrupt: async (namespace, id) => {
        await corrupt.call(inner, namespace, id);
        busOf(namespace).publish({ kind: "changed", id });
      },
    }),
  };
}

function tellTouches(store: SessionStore, bus: SessionBus): SessionStore {
  return decorate(store, {
    async touch(id, options, call) {
      const touched = await store.touch(id, options, call);
      bus.publish({ kind: "changed", id });
      return touched;
    },
  });
}
