import { describeConformance } from "@sojourn/testkit";
import { describe, test } from "vitest";
import { memoryHarness } from "./harness.js";

describeConformance(memoryHarness(), { describe, test });
