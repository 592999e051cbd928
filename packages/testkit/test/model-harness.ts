import type { SessionStore, StoreCapabilities } from "@sojourn/core";
import { type ConformanceHarness, ModelBackend, ModelStore, steppedStore } from "../src/index.js";

export type Connect = (backend: ModelBackend, declared: Partial<StoreCapabilities>) => SessionStore;

/** A harness over model stores whose time passes only when told. */
export function modelHarness(
  name: string,
  connect: Connect = (backend, declared) => new ModelStore(backend, declared),
): ConformanceHarness {
  const backends = new Map<string, ModelBackend>();
  let now = 1_700_000_000_000;
  const backendOf = (namespace: string): ModelBackend => {
    const backend = backends.get(namespace) ?? new ModelBackend(() => now);
    backends.set(namespace, backend);
    return backend;
  };
  return {
    name,
    open: async (namespace) => connect(backendOf(namespace), {}),
    openStepped: async (namespace, step) => steppedStore(connect(backendOf(namespace), {}), step),
    pass: async (ms) => {
      now += ms;
    },
  };
}
