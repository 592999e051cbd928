import { describe, test } from "vitest";
import { describeConformance, ModelBackend, ModelStore } from "../src/index.js";

// Other test files pass time at once. Here the cases wait in real time, and run side by side.
const backends = new Map<string, ModelBackend>();
describeConformance(
  {
    name: "the model in real time",
    async open(namespace) {
      const backend = backends.get(namespace) ?? new ModelBackend();
      backends.set(namespace, backend);
      return new ModelStore(backend);
    },
  },
  { describe, test },
);
