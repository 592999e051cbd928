import { DriverStore } from "@sojourn/core/adapter";
import { describe, test } from "vitest";
import { type ConformanceHarness, describeConformance, steppedStore } from "../src/index.js";
import { MapDriver } from "./fixtures/map-driver.js";

/** The same driver as if its backend were remote: with order, batches and deadlines. */
class RemoteMapDriver extends MapDriver {
  override readonly isLocal = false;
}

describeConformance(harness("Map driver, in this process", MapDriver), { describe, test });
describeConformance(harness("Map driver, as if elsewhere", RemoteMapDriver), { describe, test });

function harness(name: string, Driver: typeof MapDriver): ConformanceHarness {
  let now = 1_700_000_000_000;
  const backends = new Map<string, MapDriver["records"]>();
  const open = (namespace: string): DriverStore => {
    const entries: MapDriver["records"] = backends.get(namespace) ?? new Map();
    backends.set(namespace, entries);
    return new DriverStore(new Driver(entries, () => now));
  };
  return {
    name,
    open: async (namespace) => open(namespace),
    openStepped: async (namespace, step) => steppedStore(open(namespace), step),
    pass: async (ms) => {
      now += ms;
    },
  };
}
