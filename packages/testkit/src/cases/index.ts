import type { ConformanceCase } from "../case.js";
import { lifecycleCases } from "./lifecycle.js";

/** Every case, in the order of the promises. */
export const conformanceCases: readonly ConformanceCase[] = [...lifecycleCases];
