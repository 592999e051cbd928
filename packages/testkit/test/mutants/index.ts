import { callOptionMutants } from "./call-options.js";
import { expiryMutants } from "./expiry.js";
import { faultMutants } from "./faults.js";
import { lifecycleMutants } from "./lifecycle.js";
import { limitMutants } from "./limits.js";
import type { Mutants } from "./mutant.js";
import { renameMutants } from "./rename.js";
import { takeoverMutants } from "./takeover.js";
import { textMutants } from "./text.js";
import { userMutants } from "./users.js";
import { writeMutants } from "./writes.js";

/** A broken store for each case. */
export const mutants: Mutants = {
  ...lifecycleMutants,
  ...writeMutants,
  ...expiryMutants,
  ...userMutants,
  ...textMutants,
  ...faultMutants,
  ...limitMutants,
  ...renameMutants,
  ...takeoverMutants,
  ...callOptionMutants,
};
