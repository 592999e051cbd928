import { describe, test } from "vitest";
import { describeConformance } from "../src/index.js";
import { simulatedHarness } from "./simulated.js";

describeConformance(simulatedHarness("swept"), { describe, test });
describeConformance(simulatedHarness("native"), { describe, test });
