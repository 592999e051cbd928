import { describeConformance } from "@sojourn/testkit";
import { afterAll, describe, test } from "vitest";
import { tieredHarness } from "../packages/stores/tiered/test/harness.js";
import { startBackend, stopBackends } from "./backends.js";

afterAll(stopBackends);

for (const name of ["Redis", "PostgreSQL"]) {
  const inner = {
    name,
    open: async (namespace: string) => (await startBackend(name)).open(namespace),
    // Names of tables. The store's own tests have the others.
    awkwardNamespaces: ["a b", "é"],
  };
  describeConformance(
    tieredHarness({ name: `TieredStore in front of ${name}`, inner, tellsTouches: true }),
    { describe, test },
    // The races between requests are those of the store's own tests.
    { rounds: 2, scale: 0.002 },
  );
}
