export type { CaseContext, ConformanceCase } from "./case.js";
export { conformanceCases } from "./cases/index.js";
export { awkwardTexts } from "./cases/text.js";
export { type DescribeConformanceOptions, describeConformance, type TestRunner } from "./describe-conformance.js";
export type { ConformanceHarness, CountedOperation } from "./harness.js";
export { ModelBackend, type ModelSession, ModelStore } from "./model-store.js";
export { type ConformanceOptions, runConformanceCase } from "./run.js";
