import type { ConformanceCase } from "./case.js";
import { conformanceCases } from "./cases/index.js";
import type { ConformanceHarness } from "./harness.js";
import { type ConformanceOptions, runConformanceCase } from "./run.js";

/** `describe` and `test` of vitest or of `node:test`, passed as they are. */
export interface TestRunner {
  /** `concurrent` is what vitest understands, `concurrency` what node:test does. */
  describe(name: string, options: { concurrent: boolean; concurrency: number }, body: () => void): unknown;
  test(
    name: string,
    options: { timeout: number },
    body: (context: { skip(reason: string): unknown }) => Promise<void>,
  ): unknown;
}

export interface DescribeConformanceOptions extends ConformanceOptions {
  /** Milliseconds that one case may take. Default 180,000: a machine may be busy. */
  readonly timeoutMs?: number | undefined;
  /** How many cases run at a time under node:test; vitest has `maxConcurrency`. Default 8, and 1 where `pass` is given. */
  readonly concurrency?: number | undefined;
  /** Which cases to register. Default: all. */
  readonly cases?: readonly ConformanceCase[] | undefined;
}

/**
 * Registers each conformance case as a test of its own.
 *
 * A case that the backend's capabilities or the harness exclude shows as skipped, with the reason.
 */
export function describeConformance(
  harness: ConformanceHarness,
  { describe, test }: TestRunner,
  options: DescribeConformanceOptions = {},
): void {
  const { timeoutMs = 180_000, concurrency = 8, cases = conformanceCases } = options;
  // Time that is passed on purpose passes for every case at once.
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
