import { describe, test } from "vitest";
import { describeConformance } from "../src/index.js";
import { modelHarness } from "./model-harness.js";

describeConformance(modelHarness("the model"), { describe, test });
