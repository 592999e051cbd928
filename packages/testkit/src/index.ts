export { eventOf, sessionCookieFor, TestClock } from "./application.js";
export type { CaseContext, ConformanceCase } from "./case.js";
export { conformanceCases } from "./cases/index.js";
export { awkwardTexts } from "./cases/text.js";
export { type BusHarness, describeBusConformance } from "./describe-bus-conformance.js";
export { type DescribeConformanceOptions, describeConformance, type TestRunner } from "./describe-conformance.js";
export {
  type Exploration,
  type ExploredBackend,
  type ExploreOptions,
  explore,
  type Step,
  steppedStore,
} from "./explore.js";
export type { ConformanceHarness, CountedOperation } from "./harness.js";
export { ModelBackend, type ModelSession, ModelStore } from "./model-store.js";
export { race } from "./race.js";
export { type ConformanceOptions, runConformanceCase } from "./run.js";
export { type Operation, operations, type Pass, type Scenario } from "./scenario.js";
