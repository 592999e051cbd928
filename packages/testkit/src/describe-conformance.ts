import type { ConformanceCase } from "./case.js";
import { conformanceCases } from "./cases/index.js";
import type { ConformanceHarness } from "./harness.js";
import { type ConformanceOptions, runConformanceCase } from "./run.js";

/** The functions `describe` and `test` of vitest or of `node:test`. */
export interface TestRunner {
  /** vitest reads `concurrent`, node:test reads `concurrency`. */
  describe(name: string, options: { concurrent: boolean; concurrency: number }, body: () => void): unknown;
  test(
    name: string,
    options: { timeout: number },
    body: (context: { skip(reason: string): unknown }) => Promise<void>,
  ): unknown;
}

export interface DescribeConformanceOptions extends ConformanceOptions {
  /** The timeout of one case in milliseconds. Default 180,000, for busy machines. */
  readonly timeoutMs?: number | undefined;
  /**
   * The number of cases that run at a time under node:test; vitest has `maxConcurrency`. Default 8, and 1 with `pass`.
   */
  readonly concurrency?: number | undefined;
  /** The cases to register. Default: all. */
  readonly cases?: readonly ConformanceCase[] | undefined;
}

/**
 * Registers each conformance case as a test.
 *
 * A case that the backend's capabilities or the harness exclude is shown as skipped, with the reason.
 *
 * @example
 * ```ts no-run
 * import { describe, test } from "node:test"; // or from "vitest"
 * import { MemoryStore } from "@sojourn/memory";
 * import { describeConformance } from "@sojourn/testkit";
 *
 * const stores = new Map<string, MemoryStore>();
 * describeConformance(
 *   {
 *     name: "memory",
 *     async open(namespace) {
 *       const store = stores.get(namespace) ?? new MemoryStore();
 *       stores.set(namespace, store);
 *       return store;
 *     },
 *   },
 *   { describe, test },
 * );
 * ```
 */
export function describeConformance(
  harness: ConformanceHarness,
  { describe, test }: TestRunner,
  options: DescribeConformanceOptions = {},
): void {
  const { timeoutMs = 180_000, concurrency = 8, cases = conformanceCases } = options;
  // Passing time affects all cases, so they run one after the other.
  const together = harness.pass === undefined && concurrency > 1;
  const register = (conformanceCase: ConformanceCase): void => {
    const { id, promise, title } = conformanceCase;
    const name = promise === undefined ? `${id}: ${title}` : `${id}: ${title} (promise ${promise})`;
    test(name, { timeout: timeoutMs }, async (context) => {
      const reason = await runConformanceCase(conformanceCase, harness, options);
      if (reason !== undefined) context.skip(reason);
    });
  };
  const suite = (name: string, concurrent: boolean, members: readonly ConformanceCase[]): void => {
    if (members.length === 0) return;
    describe(name, { concurrent, concurrency: concurrent ? concurrency : 1 }, () => members.forEach(register));
  };
  describe(`conformance of ${harness.name}`, { concurrent: false, concurrency: 1 }, () => {
    suite(
      "side by side",
      together,
      cases.filter(({ exclusive }) => exclusive !== true),
    );
    suite(
      "one at a time",
      false,
      cases.filter(({ exclusive }) => exclusive === true),
    );
  });
}
